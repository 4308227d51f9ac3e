// SPDX-License-Identifier: Apache-2.0
/**
 * The sizes that pruning changes: those of a spec, those asked for, and what a candidate must keep to.
 */
import { headsMustDivideHidden } from "../model/families.js";
import type { ModelSpec } from "../model/spec.js";
import { pruneError, type ResolvedPruneOptions } from "./config.js";

export interface Shape {
  hidden: number;
  ffn: number;
  heads: number;
  kvHeads: number;
  layers: number;
}

export function shapeOf(spec: ModelSpec): Shape {
  return {
    hidden: spec.hiddenSize,
    ffn: spec.intermediateSize,
    heads: spec.numHeads,
    kvHeads: spec.numKvHeads,
    layers: spec.numLayers,
  };
}

/** head_dim stays: it no longer follows from hidden size and heads. */
export function specWith(spec: ModelSpec, shape: Shape): ModelSpec {
  return {
    ...spec,
    hiddenSize: shape.hidden,
    intermediateSize: shape.ffn,
    numHeads: shape.heads,
    numKvHeads: shape.kvHeads,
    numLayers: shape.layers,
  };
}

/** Whether every head has keys and values of its own: they then go together. */
export function isMultiHead(spec: ModelSpec): boolean {
  return spec.numHeads === spec.numKvHeads;
}

type SizeOptions = Pick<ResolvedPruneOptions, "ffn" | "hidden" | "heads" | "kvHeads" | "layers" | "dropLayers">;

/** The sizes asked for, the source's where nothing is. ERR_ARGUMENT. */
export function targetShape(spec: ModelSpec, options: SizeOptions): Shape {
  const { heads, kvHeads } = headSizes(spec, options);
  const shape: Shape = {
    hidden: sizeOf("hidden", options.hidden, spec.hiddenSize, headsMustDivideHidden(spec) ? heads : 1),
    ffn: sizeOf("ffn", options.ffn, spec.intermediateSize),
    heads,
    kvHeads,
    layers: layerCount(spec, options),
  };
  checkHidden(spec, shape);
  return shape;
}

export function layerCount(
  spec: ModelSpec,
  { layers, dropLayers }: Pick<SizeOptions, "layers" | "dropLayers">,
): number {
  const dropped = dropLayers === undefined ? 0 : parseDropLayers(dropLayers, spec.numLayers).length;
  return sizeOf("layers", layers, spec.numLayers) - dropped;
}

/** As many query heads in every group, no more than it has. ERR_ARGUMENT. */
export function headSizes(
  spec: ModelSpec,
  options: Pick<SizeOptions, "heads" | "kvHeads">,
): Pick<Shape, "heads" | "kvHeads"> {
  const perGroup = spec.numHeads / spec.numKvHeads;
  const asked = isMultiHead(spec) && options.kvHeads === undefined ? options.heads : options.kvHeads;
  const kvHeads = sizeOf(asked === options.kvHeads ? "kvHeads" : "heads", asked, spec.numKvHeads);
  const heads = sizeOf("heads", options.heads ?? kvHeads * perGroup, spec.numHeads, kvHeads);
  if (heads % kvHeads !== 0)
    throw pruneError(`heads: expected a multiple of the ${kvHeads} key-value heads, found ${heads}`);
  if (heads > kvHeads * perGroup)
    throw pruneError(
      `heads: expected at most ${kvHeads * perGroup}, the ${perGroup} of each of ${kvHeads} query groups, found ${heads}`,
    );
  return { heads, kvHeads };
}

/** A whole number as it is, a percentage rounded to the nearest multiple of `unit`. */
export function sizeOf(name: string, asked: number | string | undefined, source: number, unit = 1): number {
  if (asked === undefined) return source;
  const found = typeof asked === "number" ? asked : roundTo((Number.parseFloat(asked) / 100) * source, unit);
  if (found > source) throw pruneError(`${name}: expected at most the source's ${source}, found ${asked}`);
  return found;
}

function roundTo(value: number, unit: number): number {
  return Math.max(unit, Math.round(value / unit) * unit);
}

/** ERR_ARGUMENT when transformers would refuse the config. */
function checkHidden(spec: ModelSpec, { hidden, heads }: Shape): void {
  const changed = hidden !== spec.hiddenSize || heads !== spec.numHeads;
  if (changed && headsMustDivideHidden(spec) && hidden % heads !== 0) {
    const below = hidden - (hidden % heads);
    const near = [below, below + heads].filter((size) => size > 0 && size <= spec.hiddenSize);
    throw pruneError(
      `hidden: expected a multiple of the ${heads} heads, as transformers asks of ${spec.family} models whatever head_dim is, ` +
        `found ${hidden}${near.length > 0 ? `; ${near.join(" or ")} would do` : ""}`,
    );
  }
}

/** "16-31" or "3,7-9", 1-indexed as NeMo's -> layers from 0, ascending. ERR_ARGUMENT. */
export function parseDropLayers(text: string, numLayers: number): number[] {
  const dropped = new Set<number>();
  for (const item of text.split(",")) {
    const [, first, last = first] = /^\s*(\d{1,6})(?:\s*-\s*(\d{1,6}))?\s*$/.exec(item) ?? [];
    const [begin, end] = [Number(first), Number(last)];
    if (first === undefined || begin < 1 || end < begin || end > numLayers)
      throw pruneError(`dropLayers: expected layers from 1 to ${numLayers} as in "3,7-9", found "${text}"`);
    for (let layer = begin; layer <= end; ++layer) dropped.add(layer - 1);
  }
  if (dropped.size === numLayers)
    throw pruneError(`dropLayers: expected at least one layer of ${numLayers} to stay, found "${text}"`);
  return [...dropped].sort((a, b) => a - b);
}
