// SPDX-License-Identifier: Apache-2.0
/**
 * Options of synthesize.
 */
import { z } from "zod";
import { EspalierError } from "../errors.js";
import { parseFields } from "../model/parse-fields.js";

export const textFormats = ["text", "sft"] as const;

const path = z.string().min(1);
const count = z.number().int().min(1);
const share = z.number().min(0).max(1);

export const synthesizeSchema = z.strictObject({
  /** File of JSON lines to make; must not exist. */
  out: path,
  /** Lines wanted. */
  count,
  /** text: {"text"} a line, for `tokenize`; sft: {"messages": [user, assistant]}, for `train --data`. */
  format: z.enum(textFormats).default("text"),
  /** JSON lines of {"prompt"}, {"text"} or {"messages"}; or `seeds`; or neither: texts begin from nothing. */
  prompts: path.optional(),
  /** A text file; each line that is not empty begins a text, or is what a user says. */
  seeds: path.optional(),
  /** Generated tokens of a text at most. */
  maxTokens: count.default(256),
  temperature: z.number().min(0).max(100).default(1),
  topP: z.number().gt(0).max(1).default(1),
  topK: z.number().int().min(0).default(0),
  seed: z.number().int().min(0).default(1234),
  /** Texts with fewer generated tokens are dropped. */
  minTokens: z.number().int().min(0).default(16),
  /** What becomes of texts that `maxTokens` cut off. Default: text keeps them, sft drops them. */
  unfinished: z.enum(["keep", "drop"]).optional(),
  /** Largest part of a text's runs of four tokens that are repetitions. */
  maxRepetition: share.default(0.3),
  /** Bounds of the mean log-probability of the generated tokens. */
  minLogprob: z.number().max(0).optional(),
  maxLogprob: z.number().max(0).optional(),
  /** Jaccard similarity of runs of five words from which on a text is a duplicate; 1: only the same text is. */
  maxSimilarity: z.number().gt(0).max(1).default(0.8),
  /** Texts generated at most. Default: ten for each one wanted, at least 100. */
  maxAttempts: count.optional(),
  /** Generations handed to the engine at a time. */
  inFlight: count.max(4096).default(32),
});

export type SynthesizeOptions = z.input<typeof synthesizeSchema>;
export type ResolvedSynthesizeOptions = z.output<typeof synthesizeSchema> & {
  unfinished: "keep" | "drop";
  maxAttempts: number;
};

/** ERR_ARGUMENT names the option. */
export function resolveSynthesizeOptions(given: unknown): ResolvedSynthesizeOptions {
  const parsed = parseFields(synthesizeSchema, given, { code: "ERR_ARGUMENT", where: "synthesize" });
  const { format, prompts, seeds, minTokens, maxTokens, minLogprob, maxLogprob } = parsed;
  if (prompts !== undefined && seeds !== undefined) refuse("prompts, seeds: expected one of them, found both");
  if (format === "sft" && prompts === undefined && seeds === undefined)
    refuse("prompts, seeds: expected one of them for what users say (sft), found neither");
  if (minTokens > maxTokens) refuse(`minTokens: expected at most maxTokens ${maxTokens}, found ${minTokens}`);
  if (minLogprob !== undefined && maxLogprob !== undefined && minLogprob > maxLogprob)
    refuse(`minLogprob: expected at most maxLogprob ${maxLogprob}, found ${minLogprob}`);
  return {
    ...parsed,
    unfinished: parsed.unfinished ?? (format === "sft" ? "drop" : "keep"),
    maxAttempts: parsed.maxAttempts ?? Math.max(100, 10 * parsed.count),
  };
}

function refuse(message: string): never {
  throw new EspalierError("ERR_ARGUMENT", `synthesize: ${message}`);
}

/** Options that do not change what an attempt gives. */
const FREE = ["out", "count", "prompts", "seeds", "maxAttempts", "inFlight"] as const;

/** What must be the same when a stopped call goes on; files are known by their contents. */
export function boundOptions(options: ResolvedSynthesizeOptions): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !(FREE as readonly string[]).includes(name)));
}
