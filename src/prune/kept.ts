// SPDX-License-Identifier: Apache-2.0
/**
 * How much of the scores a shape keeps.
 */
import type { ModelSpec } from "../model/spec.js";
import { ranked, selectHeads } from "./select.js";
import type { ImportanceScores } from "./scores.js";
import type { Shape } from "./shape.js";

/** The part of the scores that a shape keeps, multiplied over the axes; each axis is averaged over the layers. */
export function importanceKept(spec: ModelSpec, scores: ImportanceScores): (shape: Shape) => number {
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
