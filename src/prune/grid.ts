// SPDX-License-Identifier: Apache-2.0
/**
 * The sizes that a budget chooses from: a grid as Minitron and Model Optimizer enumerate it, with steps that suit small
 * models too.
 */
import { headsMustDivideHidden } from "../model/families.js";
import type { ModelSpec } from "../model/spec.js";
import type { Axis, ResolvedPruneOptions } from "./config.js";
import { costsOf } from "./select.js";
import { scoresError, type ImportanceScores } from "./scores.js";
import { headSizes, isMultiHead, layerCount, sizeOf, type Shape } from "./shape.js";

/** Model Optimizer's steps for large models; smaller ones take the power of two up to a sixteenth of the size. */
const LARGEST_STEPS = { hidden: 256, ffn: 512, layers: 2 } as const;

/** Every combination, the source itself too. */
export function gridOf(spec: ModelSpec, options: ResolvedPruneOptions, scores: ImportanceScores | null): Shape[] {
  const out: Shape[] = [];
  for (const { heads, kvHeads } of headChoices(spec, options))
    for (const hidden of hiddenChoices(spec, options, heads))
      for (const ffn of ffnChoices(spec, options))
        for (const layers of layerChoices(spec, options, scores)) out.push({ hidden, ffn, heads, kvHeads, layers });
  return out;
}

function stepOf(axis: keyof typeof LARGEST_STEPS, size: number): number {
  return Math.min(LARGEST_STEPS[axis], 2 ** Math.max(0, Math.floor(Math.log2(size / 16))));
}

/** The size asked for, or the source's and the multiples of `step` below it that the limit allows. */
function choices(axis: Axis, options: ResolvedPruneOptions, source: number, step: number): number[] {
  if (options.axes?.includes(axis) === false) return [source];
  const limit = axis === "layers" ? options.maxDepthPruning : options.maxWidthPruning;
  const least = Math.max(step, Math.ceil((1 - limit) * source - 1e-9));
  const out = [source];
  for (let size = Math.floor((source - 1) / step) * step; size >= least; size -= step) out.push(size);
  return out;
}

function headChoices(spec: ModelSpec, options: ResolvedPruneOptions): Pick<Shape, "heads" | "kvHeads">[] {
  if (options.heads !== undefined || options.kvHeads !== undefined) return [headSizes(spec, options)];
  const counts = choices("heads", options, spec.numHeads, isMultiHead(spec) ? 1 : spec.numKvHeads);
  return counts.map((heads) => headSizes(spec, { heads }));
}

function ffnChoices({ intermediateSize }: ModelSpec, options: ResolvedPruneOptions): number[] {
  if (options.ffn !== undefined) return [sizeOf("ffn", options.ffn, intermediateSize)];
  return choices("ffn", options, intermediateSize, stepOf("ffn", intermediateSize));
}

/** Where heads must divide the hidden size, the step is the heads times the power of two that comes near. */
function hiddenChoices(spec: ModelSpec, options: ResolvedPruneOptions, heads: number): number[] {
  const source = spec.hiddenSize;
  const unit = headsMustDivideHidden(spec) ? heads : 1;
  let step = unit;
  while (2 * step <= 1.5 * stepOf("hidden", source)) step *= 2;
  const found =
    options.hidden === undefined
      ? choices("hidden", options, source, step)
      : [sizeOf("hidden", options.hidden, source, unit)];
  return found.filter((size) => size % unit === 0 || (size === source && heads === spec.numHeads));
}

/** Depth is weighed by block importance; a method that needs more has fewer depths to choose from. */
function layerChoices(spec: ModelSpec, options: ResolvedPruneOptions, scores: ImportanceScores | null): number[] {
  const { layers, dropLayers, axes, layerMethod } = options;
  const all = spec.numLayers;
  if (layers !== undefined || dropLayers !== undefined) return [layerCount(spec, options)];
  if (scores?.layers === null) {
    if (axes?.includes("layers") === true)
      throw scoresError("axes: layers: expected scores with block importance, found none");
    return [all];
  }
  const found = choices("layers", options, all, stepOf("layers", all));
  if (scores === null || layerMethod === "block-importance") return found;
  const measured = scores.contiguous.filter((row) => costsOf(row, layerMethod) !== null);
  const known = new Set(measured.map(({ size }) => all - size).concat(all));
  return found.filter((count) => known.has(count));
}
