// SPDX-License-Identifier: Apache-2.0
/**
 * The sizes of the pruned model: those asked for, or the best candidate of a budget.
 */
import { parameterCount } from "../model/families.js";
import type { ModelSpec } from "../model/spec.js";
import { hasBudget } from "./budget.js";
import { findCandidates, findLatencyCandidates, type Candidate } from "./candidates.js";
import type { ResolvedPruneOptions } from "./config.js";
import { measureDecode, type MeasuredLatency } from "./latency.js";
import type { ImportanceScores } from "./scores.js";
import { shapeOf, specWith, targetShape, type Shape } from "./shape.js";

export interface ChooseHooks {
  signal?: AbortSignal | undefined;
  /** A shape was measured for a latency budget. */
  onMeasured?: (measured: Candidate) => void;
}

export interface Choice {
  shape: Shape;
  /** With a budget: best first. */
  candidates?: Candidate[];
  /** With targetLatency: milliseconds of a decode token of the source. */
  sourceLatencyMs?: number;
}

export async function chooseShape(
  spec: ModelSpec,
  options: ResolvedPruneOptions,
  scores: ImportanceScores | null,
  hooks: ChooseHooks = {},
): Promise<Choice> {
  if (!hasBudget(options)) return { shape: targetShape(spec, options) };
  if (options.targetLatency !== undefined) return chooseByLatency(spec, options, scores, hooks);
  const candidates = findCandidates(spec, options, scores);
  return { shape: candidates[0]!, candidates };
}

async function chooseByLatency(
  spec: ModelSpec,
  options: ResolvedPruneOptions,
  scores: ImportanceScores | null,
  { signal, onMeasured }: ChooseHooks,
): Promise<Choice> {
  const measure = async (row: Candidate): Promise<MeasuredLatency> => {
    const measured = await measureDecode(specWith(spec, row), options, signal);
    onMeasured?.({ ...row, ...measured });
    return measured;
  };
  const whole = { ...shapeOf(spec), parameters: parameterCount(spec), keptImportance: null };
  const source = { ...whole, ...(await measure(whole)) };
  const candidates = await findLatencyCandidates(spec, options, scores, source, measure);
  return { shape: candidates[0]!, candidates, sourceLatencyMs: source.latencyMs };
}
