// SPDX-License-Identifier: Apache-2.0
/**
 * Sizes that meet a budget of parameters: the grid of candidates, as Minitron and Model Optimizer enumerate it, with
 * steps that suit small models too. Without a light search by training, the candidate that keeps most importance wins.
 */
import { EspalierError } from "../errors.js";
import { headsMustDivideHidden, parameterCount } from "../model/families.js";
import type { ModelSpec } from "../model/spec.js";
import { pruneError, type Axis, type ResolvedPruneOptions } from "./config.js";
import { costsOf, ranked, selectHeads } from "./select.js";
import { scoresError, type ImportanceScores } from "./scores.js";
import { headSizes, isMultiHead, layerCount, sizeOf, specWith, type Shape } from "./shape.js";

export interface Candidate extends Shape {
  parameters: number;
  /** Product over the axes of the part of the scores that stays, 0..1; null without scores. */
  keptImportance: number | null;
}

/** Budgets are met within this part. */
const TOLERANCE = 0.05;

/** Model Optimizer's steps for large models; smaller ones take the power of two up to a sixteenth of the size. */
const LARGEST_STEPS = { hidden: 256, ffn: 512, layers: 2 } as const;

/** 2.5e9 of "2.5B", "2500M" or, of a source of 5e9, "50%". ERR_ARGUMENT. */
export function parseBudget(asked: number | string, source: number): number {
  const text = String(asked);
  const units: Record<string, number> = { K: 1e3, M: 1e6, B: 1e9, "%": source / 100 };
  const target = Math.round(Number.parseFloat(text) * (units[text.slice(-1)] ?? 1));
  if (target < 1 || target > source)
    throw pruneError(`targetParams: expected at most the source's ${source} parameters, found ${text}`);
  return target;
}

/** Candidates within 5 % of the budget, best first. ERR_PRUNE_BUDGET when there is none. */
export function findCandidates(
  spec: ModelSpec,
  options: ResolvedPruneOptions,
  scores: ImportanceScores | null,
): Candidate[] {
  const source = parameterCount(spec);
  const target = parseBudget(options.targetParams ?? source, source);
  const grid = gridOf(spec, options, scores);
  const counted = grid.map((shape) => ({ ...shape, parameters: parameterCount(specWith(spec, shape)) }));
  const near = counted.filter(
    ({ parameters }) => parameters < source && Math.abs(parameters - target) <= TOLERANCE * target,
  );
  if (near.length === 0) throw budgetError(target, counted);
  const kept = scores === null ? null : importanceKept(spec, scores);
  const candidates = near.map((shape) => ({ ...shape, keptImportance: kept?.(shape) ?? null }));
  return candidates.sort(
    (a, b) => (b.keptImportance ?? 0) - (a.keptImportance ?? 0) || b.parameters - a.parameters || b.layers - a.layers,
  );
}

function budgetError(target: number, grid: readonly { parameters: number }[]): EspalierError {
  const sizes = grid.map(({ parameters }) => parameters);
  const low = sizes.reduce((least, size) => Math.min(least, size), Infinity);
  const high = sizes.reduce((most, size) => Math.max(most, size), 0);
  return new EspalierError(
    "ERR_PRUNE_BUDGET",
    `prune: targetParams: expected a candidate within 5 % of ${target} parameters, ` +
      `found ${grid.length} sizes from ${low} to ${high}`,
  );
}

/** Every combination, the source itself too. */
function gridOf(spec: ModelSpec, options: ResolvedPruneOptions, scores: ImportanceScores | null): Shape[] {
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

/** The part of the scores that a shape keeps, multiplied over the axes; each axis is averaged over the layers. */
function importanceKept(spec: ModelSpec, scores: ImportanceScores): (shape: Shape) => number {
  const hidden = keptShares(scores.hidden);
  const ffn = scores.ffn.map(keptShares);
  const layers = scores.layers === null ? null : keptShares(scores.layers);
  const headShare = (shape: Shape, layer: number): number => {
    const values = scores.heads[layer]!;
    const { kept } = selectHeads(spec, shape, scores, layer);
    const total = values.reduce((sum, value) => sum + Math.max(0, value), 0);
    return total === 0 ? 1 : kept.reduce((sum, head) => sum + Math.max(0, values[head]!), 0) / total;
  };
  const known = new Map<string, number>();
  const headsKept = (shape: Shape): number => {
    const key = `${shape.heads}/${shape.kvHeads}`;
    const value = known.get(key) ?? mean(scores.heads.map((_, layer) => headShare(shape, layer)));
    known.set(key, value);
    return value;
  };
  return (shape) =>
    hidden(shape.hidden) *
    mean(ffn.map((share) => share(shape.ffn))) *
    headsKept(shape) *
    (layers === null ? 1 : layers(shape.layers));
}

/** Of the best n scores, their part of the sum. */
function keptShares(scores: ArrayLike<number>): (count: number) => number {
  const sums = [0];
  for (const index of ranked(scores)) sums.push(sums[sums.length - 1]! + Math.max(0, scores[index]!));
  const total = sums[sums.length - 1]!;
  return (count) => (total === 0 ? 1 : sums[count]! / total);
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
