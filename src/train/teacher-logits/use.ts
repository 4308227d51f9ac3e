// SPDX-License-Identifier: Apache-2.0
/**
 * How a run, or the making of a cache, uses its data.
 */
import { tokenizerFingerprint } from "../../tokenizer/index.js";
import type { ResolvedTrainOptions } from "../config.js";
import type { TrainingData } from "../loop.js";
import { tokenizerOf, type DataModel } from "../parts.js";
import type { LogitsUse, TeacherLogits } from "./reader.js";

export async function logitsUse(
  options: ResolvedTrainOptions,
  model: DataModel,
  data: TrainingData,
): Promise<LogitsUse> {
  const tokenizer = tokenizerOf(model);
  const { seqLength, split, seed, resetAttention, steps, globalBatch } = options;
  return {
    tokenizer: tokenizer === null ? null : await tokenizerFingerprint(tokenizer),
    vocabSize: model.spec.vocabSize,
    ...{ seqLength, split, seed, resetAttention },
    samples: steps * globalBatch,
    validationSamples: validationSamples(options, data),
  };
}

/** Samples of the validation split that a validation takes. */
export function validationSamples(
  { limitValBatches, globalBatch }: ResolvedTrainOptions,
  { validation }: TrainingData,
): number {
  return Math.min(validation?.length ?? 0, limitValBatches * globalBatch);
}

/** The data of a run with the cached logits that it compares, `top` of each token. */
export async function withCachedTeacher(
  data: TrainingData,
  cached: TeacherLogits,
  options: ResolvedTrainOptions,
  { checkpoint }: { checkpoint: DataModel },
  top: number,
): Promise<TrainingData> {
  return cached.join(data, await logitsUse(options, checkpoint, data), top);
}
