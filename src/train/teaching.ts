// SPDX-License-Identifier: Apache-2.0
/**
 * What a run learns from: the data, a teacher, or what a cache kept of one.
 */
import type { ResolvedTrainOptions } from "./config.js";
import { cachedLossTerms, lossTerms } from "./losses.js";
import type { ModelSource } from "./model-source.js";
import type { LossTerm } from "./native-trainer.js";
import { TeacherLogits } from "./teacher-logits/index.js";

export interface Teaching {
  losses: readonly LossTerm[];
  /** null: none. */
  cached: TeacherLogits | null;
  /** Of its logits, those compared of each token; 0: none. */
  teacherTop: number;
}

/** ERR_ARGUMENT, ERR_TEACHER_LOGITS. */
export async function lossesOf(
  options: ResolvedTrainOptions,
  source: ModelSource,
  teacher: ModelSource | null,
): Promise<Teaching> {
  const { teacherLogits, topK } = options;
  if (teacherLogits === undefined) {
    const losses = lossTerms(options, source.checkpoint.spec, teacher?.checkpoint.spec ?? null);
    return { losses, cached: null, teacherTop: 0 };
  }
  const cached = await TeacherLogits.open(teacherLogits);
  const kept = cached.manifest.topK;
  return { losses: cachedLossTerms(options, kept), cached, teacherTop: topK === 0 ? kept : topK };
}
