// SPDX-License-Identifier: Apache-2.0
/**
 * From statistics of a calibration pass to scores. Muralidharan et al., arXiv 2407.14679, §2.2 and table 13: a channel's
 * activations are aggregated over the positions of a sequence, then over sequences.
 */
import type { ModelSpec } from "../model/spec.js";

export type Aggregator = "mean" | "l2" | "var";

/** The order in which the native statistic has them. */
export const aggregators: readonly Aggregator[] = ["mean", "l2", "var"];

/** How a score was aggregated. Default: L2 over sequences of the mean of |x| over positions. */
export interface Aggregation {
  batch: Aggregator;
  sequence: Aggregator;
  /** Whether position 0 counts, which attention sinks make far larger than the rest. */
  firstPosition: boolean;
}

export const defaultAggregation: Aggregation = { batch: "l2", sequence: "mean", firstPosition: true };

/** All nine pairs, with and without the first position. */
export const aggregations: readonly Aggregation[] = [true, false].flatMap((firstPosition) =>
  aggregators.flatMap((batch) => aggregators.map((sequence) => ({ batch, sequence, firstPosition }))),
);

/** "l2,mean": over sequences, over positions; null when it is none. */
export function parseAggregation(text: string, firstPosition: boolean): Aggregation | null {
  const [batch, sequence, ...more] = text.split(",").map((name) => aggregators.find((known) => known === name.trim()));
  return batch === undefined || sequence === undefined || more.length > 0 ? null : { batch, sequence, firstPosition };
}

/** "l2_mean", "l2_mean.rest" */
export function aggregationName({ batch, sequence, firstPosition }: Aggregation): string {
  return `${batch}_${sequence}${firstPosition ? "" : ".rest"}`;
}

/** One value a channel from the native `moments` of `samples` sequences. */
export function channelScores(moments: Float64Array, samples: number, aggregation: Aggregation): Float64Array {
  const width = moments.length / 12;
  const { batch, sequence, firstPosition } = aggregation;
  const start = ((firstPosition ? 0 : 3) + aggregators.indexOf(sequence)) * 2 * width;
  return Float64Array.from({ length: width }, (_, channel) => {
    const sum = moments[start + channel]!;
    const squares = moments[start + width + channel]!;
    if (batch === "mean") return sum / samples;
    if (batch === "l2") return Math.sqrt(squares);
    return Math.max(0, squares / samples - (sum / samples) ** 2);
  });
}

/** L2 over groups of `size` channels: a head's channels, a key-value group's heads. */
export function groupScores(channels: Float64Array, size: number): Float64Array {
  return Float64Array.from({ length: channels.length / size }, (_, group) =>
    Math.sqrt(channels.subarray(group * size, (group + 1) * size).reduce((sum, value) => sum + value * value, 0)),
  );
}

/** Statistics of one block, by what they score. */
export interface BlockStatistics {
  /** moments of the two norms' outputs */
  attentionInput: Float64Array;
  mlpInput: Float64Array;
  /** moments of o_proj's and down_proj's inputs */
  attentionOutput: Float64Array;
  mlpProduct: Float64Array;
  /** cosine of the block's ends */
  cosine: Float64Array;
}

/** Scores of every axis under one aggregation; layers and indices count from 0. */
export interface AxisScores {
  hidden: Float32Array;
  ffn: Float32Array[];
  heads: Float32Array[];
  kvGroups: Float32Array[];
}

/** Norm outputs are summed over norms and layers; heads are L2 over their channels, groups L2 over their heads'. */
export function axisScores(
  blocks: readonly BlockStatistics[],
  { hiddenSize, headDim, numHeads, numKvHeads }: ModelSpec,
  samples: number,
  aggregation: Aggregation,
): AxisScores {
  const hidden = new Float64Array(hiddenSize);
  const scores: AxisScores = { hidden: new Float32Array(hiddenSize), ffn: [], heads: [], kvGroups: [] };
  for (const block of blocks) {
    for (const moments of [block.attentionInput, block.mlpInput])
      channelScores(moments, samples, aggregation).forEach((score, i) => (hidden[i]! += score));
    scores.ffn.push(Float32Array.from(channelScores(block.mlpProduct, samples, aggregation)));
    const attention = channelScores(block.attentionOutput, samples, aggregation);
    scores.heads.push(Float32Array.from(groupScores(attention, headDim)));
    scores.kvGroups.push(Float32Array.from(groupScores(attention, (headDim * numHeads) / numKvHeads)));
  }
  scores.hidden.set(hidden);
  return scores;
}

/** 1 - mean cosine of a block's input and output (block importance), [layers]. */
export function blockImportance(
  blocks: readonly BlockStatistics[],
  samples: number,
  firstPosition: boolean,
): Float64Array {
  return Float64Array.from(blocks, ({ cosine }) => 1 - cosine[firstPosition ? 0 : 1]! / samples);
}
