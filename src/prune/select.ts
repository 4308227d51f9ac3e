// SPDX-License-Identifier: Apache-2.0
/**
 * What stays: indices of layers, channels, neurons and heads by score, always ascending.
 */
import type { ModelSpec } from "../model/spec.js";
import { pruneError, type LayerMethod, type ResolvedPruneOptions } from "./config.js";
import { isMultiHead, parseDropLayers, type Shape } from "./shape.js";
import { scoresError, type ContiguousBlocks, type ImportanceScores } from "./scores.js";

/** null instead of indices: all of them. */
export interface Selection {
  /** Layers of the source. */
  layers: number[];
  hidden: Uint32Array | null;
  /** One a layer that stays, in order. */
  perLayer: LayerSelection[];
}

export interface LayerSelection {
  ffn: Uint32Array | null;
  heads: Uint32Array | null;
  kvHeads: Uint32Array | null;
  /** For each head that stays the pruned one merged into it, -1: none. null: no merging. */
  partners: Int32Array | null;
}

/** Indices by falling score; equal scores by rising index. */
export function ranked(
  scores: ArrayLike<number>,
  indices = Array.from({ length: scores.length }, (_, i) => i),
): number[] {
  return [...indices].sort((a, b) => scores[b]! - scores[a]! || a - b);
}

/** The `count` best, ascending; null when that is all. */
export function best(scores: ArrayLike<number>, count: number): Uint32Array | null {
  return count === scores.length ? null : Uint32Array.from(ranked(scores).slice(0, count)).sort();
}

type LayerOptions = Pick<ResolvedPruneOptions, "dropLayers" | "layerMethod">;

/** Layers of the source that stay. ERR_PRUNE_SCORES when the scores lack what the method needs. */
export function keptLayers(
  spec: ModelSpec,
  count: number,
  { dropLayers, layerMethod }: LayerOptions,
  scores: ImportanceScores | null,
): number[] {
  const all = Array.from({ length: spec.numLayers }, (_, layer) => layer);
  if (dropLayers !== undefined) {
    const dropped = new Set(parseDropLayers(dropLayers, spec.numLayers));
    return all.filter((layer) => !dropped.has(layer));
  }
  if (count === spec.numLayers) return all;
  if (scores === null) throw pruneError("layers: expected importance beside it, found none; dropLayers needs none");
  if (layerMethod !== "block-importance") return withoutBlock(all, spec.numLayers - count, layerMethod, scores);
  if (scores.layers === null) throw scoresError("layers: expected scores with block importance, found none");
  return [...(best(scores.layers, count) ?? all)];
}

/** All but the block of `size` layers whose absence costs least. */
function withoutBlock(
  all: number[],
  size: number,
  method: ContiguousMethod,
  { contiguous }: Pick<ImportanceScores, "contiguous">,
): number[] {
  const measured = contiguous.filter((row) => costsOf(row, method) !== null);
  const costs = measured.flatMap((row) => (row.size === size ? [costsOf(row, method)!] : []))[0];
  if (costs === undefined) {
    const what = method === "contiguous-loss" ? "losses" : "accuracies";
    const sizes = measured.map((row) => row.size).join(", ");
    throw scoresError(
      `layerMethod: expected scores with ${what} without ${size} layers, found ${sizes === "" ? "none" : `those without ${sizes}`}`,
    );
  }
  const first = costs.reduce((best, cost, begin) => (isLess(cost, costs[best]!) ? begin : best), 0);
  return all.filter((layer) => layer < first || layer >= first + size);
}

type ContiguousMethod = Exclude<LayerMethod, "block-importance">;

/** What to make small at each place, then what decides between equals; null: not measured. */
export function costsOf(
  { lossWithout, accuracyWithout = null }: ContiguousBlocks,
  method: ContiguousMethod,
): number[][] | null {
  if (method === "contiguous-loss") return lossWithout === null ? null : Array.from(lossWithout, (loss) => [loss]);
  return accuracyWithout && Array.from(accuracyWithout, (accuracy, i) => [-accuracy, lossWithout?.[i] ?? 0]);
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, i) => value !== b[i]);
  return at >= 0 && a[at]! < b[at]!;
}

/** Everything that stays of a model of `shape`. `scores` may be null when width stays as it is. */
export function select(
  spec: ModelSpec,
  shape: Shape,
  options: LayerOptions & Pick<ResolvedPruneOptions, "mergeHeads">,
  scores: ImportanceScores | null,
): Selection {
  const layers = keptLayers(spec, shape.layers, options, scores);
  const changesHeads = shape.heads !== spec.numHeads || shape.kvHeads !== spec.numKvHeads;
  const changesWidth = shape.hidden !== spec.hiddenSize || shape.ffn !== spec.intermediateSize || changesHeads;
  if (!changesWidth) {
    const whole: LayerSelection = { ffn: null, heads: null, kvHeads: null, partners: null };
    return { layers, hidden: null, perLayer: layers.map(() => whole) };
  }
  if (scores === null) throw pruneError("hidden, ffn, heads: expected importance beside them, found none");
  const perLayer = layers.map((layer): LayerSelection => {
    const heads = changesHeads ? selectHeads(spec, shape, scores, layer) : null;
    return {
      ffn: best(scores.ffn[layer]!, shape.ffn),
      heads: heads === null ? null : Uint32Array.from(heads.kept),
      kvHeads: heads?.kvHeads ?? null,
      partners: heads !== null && options.mergeHeads ? partnersOf(heads) : null,
    };
  });
  return { layers, hidden: best(scores.hidden, shape.hidden), perLayer };
}

export interface HeadSelection {
  /** Ascending. */
  kept: number[];
  /** null: all. */
  kvHeads: Uint32Array | null;
  /** Heads that compete, by falling score, and how many of them stay. */
  contests: { order: number[]; keep: number }[];
}

/** Heads compete inside their query group; where each has its own keys and values, all with all. */
export function selectHeads(
  spec: ModelSpec,
  shape: Pick<Shape, "heads" | "kvHeads">,
  { heads, kvGroups }: Pick<ImportanceScores, "heads" | "kvGroups">,
  layer: number,
): HeadSelection {
  const scores = heads[layer]!;
  if (isMultiHead(spec)) {
    const order = ranked(scores);
    const kept = order.slice(0, shape.heads).sort((a, b) => a - b);
    return { kept, kvHeads: Uint32Array.from(kept), contests: [{ order, keep: shape.heads }] };
  }
  const perGroup = spec.numHeads / spec.numKvHeads;
  const keep = shape.heads / shape.kvHeads;
  const kvHeads = best(kvGroups[layer]!, shape.kvHeads);
  const groups = kvHeads ?? Uint32Array.from({ length: spec.numKvHeads }, (_, group) => group);
  const contests = Array.from(groups, (group) => {
    const members = Array.from({ length: perGroup }, (_, i) => group * perGroup + i);
    return { order: ranked(scores, members), keep };
  });
  const kept = contests.flatMap(({ order }) => order.slice(0, keep).sort((a, b) => a - b));
  return { kept, kvHeads, contests };
}

/**
 * Minitron (arXiv 2407.14679, section 2.3): of L heads by falling score K stay, and head i of the last L - K of these
 * becomes 2 head_i - head_(2K - i + 1): the best pruned head goes with the last one that stays, and so on.
 */
export function partnersOf({ kept, contests }: Pick<HeadSelection, "kept" | "contests">): Int32Array {
  const partners = new Int32Array(kept.length).fill(-1);
  for (const { order, keep } of contests)
    for (let i = Math.max(1, 2 * keep - order.length + 1); i <= keep; ++i)
      partners[kept.indexOf(order[i - 1]!)] = order[2 * keep - i]!;
  return partners;
}
