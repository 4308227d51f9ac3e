// SPDX-License-Identifier: Apache-2.0
/**
 * Options of pruning: one schema for the command line, the API and recipes, and what is checked across options.
 */
import { z } from "zod";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import { parseFields } from "../model/parse-fields.js";
import type { ImportanceScores } from "./scores.js";

export const budgetOptions = ["targetParams", "targetMemory", "targetLatency"] as const;
export type BudgetOption = (typeof budgetOptions)[number];

export const axisNames = ["ffn", "hidden", "heads", "layers"] as const;
export type Axis = (typeof axisNames)[number];

export const layerMethods = ["block-importance", "contiguous-loss", "contiguous-accuracy"] as const;
export type LayerMethod = (typeof layerMethods)[number];

const path = z.string().min(1);
const share = z.number().min(0).lt(1);
const count = z.number().int().min(1);
/** One check, so that the message tells all that would do. */
function numberOr(pattern: RegExp, expected: string, whole = true): z.ZodType<number | string, number | string> {
  const fits = (value: unknown): boolean =>
    typeof value === "number"
      ? Number.isFinite(value) && (whole ? Number.isSafeInteger(value) && value >= 1 : value > 0)
      : typeof value === "string" && pattern.test(value) && Number.parseFloat(value) > 0;
  return z.custom<number | string>(fits, { error: expected });
}

const size = numberOr(
  /^\d+(\.\d+)?%$/,
  'expected a whole number, at least 1, or a percentage of the source as in "50%"',
);
const budget = numberOr(
  /^\d+(\.\d+)?[KMB%]?$/,
  'expected a number of parameters as in 70000000, "135M" or "2.5B", or a percentage of the source as in "50%"',
);
const memory = numberOr(
  /^\d+(\.\d+)?([KMG]i?B|%)?$/,
  'expected bytes as in 50000000, "50MB" or "1.5GiB", or a percentage of what the source takes as in "50%"',
);
const latency = numberOr(
  /^\d+(\.\d+)?(ms|%)?$/,
  'expected milliseconds as in 12.5 or "12.5ms", or a percentage of what the source takes as in "50%"',
  false,
);
const scores = z.custom<ImportanceScores>(isRecord);

const schema = z.strictObject({
  /** Model directory or GGUF file; or `configOnly`. */
  model: path.optional(),
  /** config.json or a directory that has one: sizes only, nothing is written. */
  configOnly: path.optional(),
  /** Scores, a directory that `importance` made, or a control: "random" or "magnitude". */
  importance: z.union([path, scores]).optional(),
  /** Of a directory's scores: over sequences and over positions, each mean, l2 or var. */
  aggregate: z.string().default("l2,mean"),
  /** Leave the first position out of a directory's scores. */
  skipFirstPosition: z.boolean().default(false),
  ffn: size.optional(),
  hidden: size.optional(),
  /** Query heads, as many in every group. */
  heads: size.optional(),
  /** Default: all; as `heads` in models whose heads all have their own keys and values. */
  kvHeads: size.optional(),
  /** Layers that stay. */
  layers: size.optional(),
  /** 1-indexed: "16-31" or "3,7-9". */
  dropLayers: z.string().optional(),
  /** Which layers go when `layers` says how many stay. */
  layerMethod: z.enum(layerMethods).default("block-importance"),
  /** Total parameters, within 5 %: sizes are searched. */
  targetParams: budget.optional(),
  /** Bytes of weights in `dtype`, and of keys and values of `budgetBatch` sequences of `budgetContext` tokens, within 5 %. */
  targetMemory: memory.optional(),
  /** Milliseconds of a decode token on this machine, within 5 %: a few shapes are measured, with random weights. */
  targetLatency: latency.optional(),
  /** Sequences that a budget of memory or latency is for. Default: 1. */
  budgetBatch: count.optional(),
  /** Tokens of each of them in the cache, for targetMemory. Default: the model's positions, at most 4096. */
  budgetContext: count.optional(),
  /** For targetLatency: tokens of the prompt. Default: 128. */
  budgetIsl: count.optional(),
  /** For targetLatency: tokens generated. Default: 32. */
  budgetOsl: z.number().int().min(2).optional(),
  /** For targetLatency: the weight format of the engines measured. Default: f32. */
  budgetWeights: path.optional(),
  /** What is searched. Default: all that has scores. */
  axes: z.array(z.enum(axisNames)).min(1).optional(),
  /** Largest part of hidden, ffn and heads that the search takes away. */
  maxWidthPruning: share.default(0.4),
  maxDepthPruning: share.default(0.2),
  /** Adds what pruned heads have beyond their neighbours in rank to those that stay (Minitron, section 2.3). */
  mergeHeads: z.boolean().default(false),
  /** Of random scores. */
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(1234),
  /** What weights are written in. Default: as the source stores them, f32 for a quantized source. */
  dtype: z.enum(["f32", "f16", "bf16"]).optional(),
  /** The model directory to make. */
  out: path.optional(),
  /** Resolve and count, write nothing. */
  dryRun: z.boolean().default(false),
  /** Only list what a budget has to choose from. */
  listCandidates: z.boolean().default(false),
});

/** What else says what a budget is for. */
const budgetDetails: [keyof typeof schema.shape & `budget${string}`, readonly BudgetOption[]][] = [
  ["budgetBatch", ["targetMemory", "targetLatency"]],
  ["budgetContext", ["targetMemory"]],
  ["budgetIsl", ["targetLatency"]],
  ["budgetOsl", ["targetLatency"]],
  ["budgetWeights", ["targetLatency"]],
];

/** Names of the options. */
export const pruneOptionNames = Object.keys(schema.shape);

/** As given. */
export type PruneOptions = z.input<typeof schema>;

/** With every default filled in. */
export type ResolvedPruneOptions = z.output<typeof schema>;

/** ERR_ARGUMENT, as every wrong option. */
export function pruneError(message: string): EspalierError {
  return new EspalierError("ERR_ARGUMENT", `prune: ${message}`);
}

/** Whether nothing is to be written. */
export function isDry({ dryRun, listCandidates, configOnly }: ResolvedPruneOptions): boolean {
  return dryRun || listCandidates || configOnly !== undefined;
}

/** Checked and filled in; ERR_ARGUMENT names the option. */
export function resolvePruneOptions(given: unknown): ResolvedPruneOptions {
  const options = parseFields(schema, given, { code: "ERR_ARGUMENT", where: "prune" });
  const { model, configOnly, importance, out, layers, dropLayers, kvHeads, heads } = options;
  if ((model === undefined) === (configOnly === undefined))
    throw pruneError(`model, configOnly: expected one of them, found ${model === undefined ? "neither" : "both"}`);
  if (configOnly !== undefined && (out !== undefined || importance !== undefined))
    throw pruneError(
      `configOnly: a config has no weights, so expected neither out nor importance, found ${out === undefined ? "importance" : "out"}`,
    );
  if (!isDry(options) && out === undefined) throw pruneError("out: expected a directory to make, found nothing");
  if (layers !== undefined && dropLayers !== undefined)
    throw pruneError("layers, dropLayers: expected one of them, found both");
  const [asked, more] = budgetOptions.filter((name) => options[name] !== undefined);
  if (more !== undefined) throw pruneError(`${asked}, ${more}: expected one of them, found both`);
  const sizes = [options.ffn, options.hidden, heads, kvHeads, layers, dropLayers];
  if (asked === undefined && sizes.every((x) => x === undefined))
    throw pruneError(
      "expected ffn, hidden, heads, kvHeads, layers, dropLayers, targetParams, targetMemory or targetLatency, " +
        "found none: nothing says what to prune",
    );
  for (const name of ["listCandidates", "axes"] as const)
    if (asked === undefined && options[name] !== undefined && options[name] !== false)
      throw pruneError(`${name}: expected targetParams, targetMemory or targetLatency beside it, found none`);
  for (const [name, targets] of budgetDetails)
    if (options[name] !== undefined && (asked === undefined || !targets.includes(asked)))
      throw pruneError(`${name}: expected ${targets.join(" or ")} beside it, found none`);
  if (options.layerMethod !== "block-importance" && layers === undefined && asked === undefined)
    throw pruneError(`layerMethod: expected layers or a target beside ${options.layerMethod}, found neither`);
  if (options.mergeHeads && heads === undefined && asked === undefined)
    throw pruneError("mergeHeads: expected heads or a target beside it, found neither");
  return options;
}
