// SPDX-License-Identifier: Apache-2.0
/**
 * Which of the generated texts are worth learning from.
 */
import type { ResolvedSynthesizeOptions } from "./config.js";

/** Why a text was dropped, in the order they are looked at. */
export const dropReasons = [
  /** The prompt leaves no room in the context. */
  "prompt",
  "empty",
  "short",
  "unfinished",
  /** Bytes that are no characters. */
  "broken",
  "repetition",
  "logprob",
  "duplicate",
  "nearDuplicate",
] as const;
export type DropReason = (typeof dropReasons)[number];

export interface GeneratedText {
  /** What was generated. */
  text: string;
  ids: readonly number[];
  /** The model ended it itself. */
  finished: boolean;
  /** Mean over the generated tokens; 0 of none. */
  meanLogprob: number;
}

/** null: nothing is wrong with it. */
export function dropReasonOf(generated: GeneratedText, options: ResolvedSynthesizeOptions): DropReason | null {
  const { text, ids, finished, meanLogprob } = generated;
  const { minLogprob = -Infinity, maxLogprob = 0 } = options;
  if (text.trim() === "") return "empty";
  if (ids.length < options.minTokens) return "short";
  if (!finished && options.unfinished === "drop") return "unfinished";
  if (text.includes("\ufffd")) return "broken";
  if (repetitionOf(ids) > options.maxRepetition) return "repetition";
  return meanLogprob < minLogprob || meanLogprob > maxLogprob ? "logprob" : null;
}

const RUN = 4;

/** Part of the runs of four tokens that were there before; 0 of texts without one. */
export function repetitionOf(ids: readonly number[]): number {
  const runs = ids.length - RUN + 1;
  if (runs < 1) return 0;
  const seen = new Set<string>();
  for (let i = 0; i < runs; ++i) seen.add(ids.slice(i, i + RUN).join());
  return 1 - seen.size / runs;
}
