// SPDX-License-Identifier: Apache-2.0
/**
 * Options of training: one schema for the command line, the API and recipes, and what is checked across options.
 */
import { z } from "zod";
import { EspalierError } from "../errors.js";
import { parseFields } from "../model/parse-fields.js";
import { lossDefaults, lossFields, resolveLossOptions, type ResolvedLossOptions } from "./losses.js";
import { scheduleNames, type Schedule } from "./schedule.js";

const count = z.number().int().min(1);
const countOrNone = z.number().int().min(0);
const notNegative = z.number().min(0);
const share = z.number().min(0).lt(1);
const path = z.string().min(1);

const schema = z.strictObject({
  /** A model directory or GGUF file to go on with; or `config`. */
  model: path.optional(),
  /** config.json, or YAML of the same fields, or the fields: a new model with random weights. */
  config: z.union([path, z.record(z.string(), z.unknown())]).optional(),
  /** With `config`: the directory whose tokenizer files the model gets. */
  tokenizer: path.optional(),
  /** Of .bin/.idx, a directory that `tokenize` wrote, a blend "0.7 PREFIX 0.3 PREFIX", or .jsonl of conversations. */
  data: path,
  /** Lines of a .jsonl without a conversation that may be left out. */
  maxBadLines: countOrNone.default(0),
  /** The run directory. */
  out: path,
  steps: count,
  /** Sequences of one update. */
  globalBatch: count.default(32),
  /** Sequences worked on at once; divides `globalBatch`. Default: the largest divisor up to 8. */
  microBatch: count.optional(),
  seqLength: z.number().int().min(2).default(512),
  /** Peak learning rate. */
  lr: z.number().positive().default(3e-4),
  /** Default: a tenth of `lr`. */
  minLr: notNegative.optional(),
  /** Steps in which the learning rate rises. */
  warmup: countOrNone.default(0),
  schedule: z.enum(scheduleNames).default("cosine"),
  /** cosine, linear: the step the minimum is reached at (default `steps`); wsd: steps of the decay (default a tenth). */
  decaySteps: count.optional(),
  weightDecay: notNegative.default(0.1),
  beta1: share.default(0.9),
  beta2: share.default(0.95),
  epsilon: z.number().positive().default(1e-8),
  /** Largest gradient norm; 0: any. */
  clip: notNegative.default(1),
  /** Of the order of the data and of new weights. */
  seed: z
    .number()
    .int()
    .min(0)
    .max(2 ** 32 - 1)
    .default(1234),
  /** Steps between checkpoints; the last step always has one. */
  saveInterval: count.default(100),
  /** Checkpoints kept: the best by validation loss, besides the last one. */
  saveTopK: countOrNone.default(3),
  valCheckInterval: count.default(100),
  /** Global batches of the validation split used; 0: no validation. */
  limitValBatches: countOrNone.default(50),
  /** Parts of the documents for train, validation and test. */
  split: z.string().default("99,1,0"),
  /** Attention and positions begin anew at each document. */
  resetAttention: z.boolean().default(false),
  /** Compute each block again in the backward pass instead of keeping what it holds. */
  checkpointActivations: z.boolean().default(false),
  activations: z.enum(["f32", "bf16"]).default("f32"),
  /** Train adapters of this rank instead of the weights, and merge them at the end; 0: train the weights. */
  loraRank: countOrNone.default(0),
  /** Default: twice the rank. */
  loraAlpha: notNegative.optional(),
  /** Roles that get adapters. */
  loraTargets: z.array(z.string().min(1)).min(1).default(["q_proj", "k_proj", "v_proj", "o_proj"]),
  /** Names of weights that stay as they are; `*` stands for any characters. */
  freeze: z.array(z.string().min(1)).default([]),
  ...lossFields,
  /** What the finished model's weights are written in. */
  dtype: z.enum(["f32", "f16", "bf16"]).default("f32"),
  /** Updates skipped in a row, or steps far above a guess, that end the run. */
  maxSkipped: count.default(10),
  /** Default: ESPALIER_THREADS or the physical cores. */
  threads: count.optional(),
  isa: z.enum(["auto", "ref", "avx2", "avx512", "avx512_bf16"]).default("auto"),
  /** Go on from the newest checkpoint of `out`. false: `out` must not hold a run. */
  resume: z.boolean().default(true),
  /** Remove the run that `out` holds and start again. */
  overwrite: z.boolean().default(false),
});

/** Names of the options. */
export const trainOptionNames = Object.keys(schema.shape);

/** As given. */
export type TrainOptions = z.input<typeof schema>;

/** With every default filled in. */
export type ResolvedTrainOptions = z.output<typeof schema> & {
  microBatch: number;
  minLr: number;
  decaySteps: number;
  loraAlpha: number;
} & ResolvedLossOptions;

/** Checked and filled in; ERR_ARGUMENT names the option. */
export function resolveTrainOptions(given: unknown): ResolvedTrainOptions {
  const parsed = parseFields(schema, given, { code: "ERR_ARGUMENT", where: "train" });
  const { globalBatch, steps, schedule, warmup, lr } = parsed;
  const options: ResolvedTrainOptions = {
    ...resolveLossOptions(parsed),
    microBatch: parsed.microBatch ?? largestDivisor(globalBatch, 8),
    minLr: parsed.minLr ?? lr / 10,
    decaySteps: parsed.decaySteps ?? (schedule === "wsd" ? Math.ceil((steps - warmup) / 10) : steps),
    loraAlpha: parsed.loraAlpha ?? 2 * parsed.loraRank,
  };
  checkModel(options);
  checkNumbers(options);
  return options;
}

function largestDivisor(value: number, limit: number): number {
  let divisor = Math.min(value, limit);
  while (value % divisor !== 0) divisor -= 1;
  return divisor;
}

function refuse(message: string): never {
  throw new EspalierError("ERR_ARGUMENT", `train: ${message}`);
}

function checkModel(options: ResolvedTrainOptions): void {
  const { model, config, tokenizer, resume, overwrite } = options;
  if ((model === undefined) === (config === undefined))
    refuse(
      `model, config: expected one of them, found ${model === undefined ? "neither" : "both"}: a model to go on with, or the config of a new one`,
    );
  if (tokenizer !== undefined && config === undefined)
    refuse("tokenizer: only a new model (config) takes another's tokenizer; this model has its own");
  if (overwrite && !resume) refuse("overwrite, resume: expected one of --overwrite and --no-resume, found both");
}

function checkNumbers(options: ResolvedTrainOptions): void {
  const { globalBatch, microBatch, lr, minLr, warmup, schedule, decaySteps, steps, loraRank, freeze } = options;
  if (globalBatch % microBatch !== 0)
    refuse(`microBatch: expected a divisor of the global batch ${globalBatch}, found ${microBatch}`);
  if (minLr > lr) refuse(`minLr: expected at most the learning rate ${lr}, found ${minLr}`);
  if (warmup > steps) refuse(`warmup: expected at most the ${steps} steps, found ${warmup}`);
  if (schedule === "wsd" && warmup + decaySteps > steps)
    refuse(`decaySteps: warm-up ${warmup} and decay ${decaySteps} do not fit in ${steps} steps`);
  if ((schedule === "cosine" || schedule === "linear") && decaySteps < warmup)
    refuse(`decaySteps: expected at least the warm-up's ${warmup} steps, found ${decaySteps}`);
  if (loraRank === 0 && options.loraAlpha !== 0)
    refuse(`loraAlpha: expected a loraRank beside it, found ${options.loraAlpha} alone`);
  if (schedule === "constant" && decaySteps !== steps) refuse("decaySteps: a constant schedule has no decay");
  if (loraRank > 0 && options.loraAlpha === 0) refuse("loraAlpha: expected more than 0, found 0");
  if (loraRank > 0 && freeze.length > 0)
    refuse("freeze, loraRank: adapters leave all other weights as they are; give one of the two");
}

export function scheduleOf(options: ResolvedTrainOptions): Schedule {
  const { schedule, lr, minLr, warmup, steps, decaySteps } = options;
  return { name: schedule, peak: lr, minimum: minLr, warmupSteps: warmup, steps, decaySteps };
}

/** Options that neither change the weights nor stand for files, whose content is compared instead. */
const FREE = [
  "model",
  "config",
  "tokenizer",
  "data",
  "maxBadLines",
  "teacher",
  "teacherLogits",
  "out",
  "saveInterval",
  "saveTopK",
  "valCheckInterval",
  "maxSkipped",
  "dtype",
  "threads",
  "isa",
  "resume",
  "overwrite",
] as const satisfies readonly (keyof ResolvedTrainOptions)[];

/** What must be the same when a run is resumed. */
export function boundOptions(options: ResolvedTrainOptions): Record<string, unknown> {
  const before: Record<string, unknown> = lossDefaults;
  const entries = Object.entries(options).filter(([key, value]) => !(key in before && before[key] === value));
  return Object.fromEntries(entries.filter(([key]) => !(FREE as readonly string[]).includes(key)));
}
