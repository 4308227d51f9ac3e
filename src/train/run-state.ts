// SPDX-License-Identifier: Apache-2.0
/**
 * state.json of a checkpoint: where a run stands, and what it must be resumed with. Data order and new weights follow
 * from the seed, and nothing else in a run is random, so the seed and the counts are the whole state of its generators.
 */
import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import { z } from "zod";
import { EspalierError } from "../errors.js";
import { parseFields } from "../model/parse-fields.js";

const count = z.number().int().min(0);

/** Must be the same when a run is resumed, but for `worldSize`: with another one the results differ by rounding. */
const identitySchema = z.strictObject({
  /** sha256 of the model's spec. */
  spec: z.string(),
  /** Fingerprints of what the run began with. */
  model: z.string(),
  teacher: z.string().nullable(),
  data: z.string(),
  /** Processes that share a global batch. */
  worldSize: z.number().int().min(1),
  options: z.record(z.string(), z.unknown()),
});

const progressSchema = z.strictObject({
  /** Steps done, skipped ones among them. */
  step: count,
  /** Updates applied: AdamW's t. */
  updates: count,
  consumedSamples: count,
  /** Labels that counted. */
  consumedTokens: count,
  skippedInARow: count,
  skipped: count,
  /** Steps in a row far worse than a guess. */
  hopelessInARow: count,
  /** Of the first step with a finite one. */
  firstLoss: z.number().nullable(),
  lastLoss: z.number().nullable(),
  /** Of the latest validation. */
  valLoss: z.number().nullable(),
  best: z.strictObject({ step: count, valLoss: z.number() }).nullable(),
  /** Time spent training, validation and saving included. */
  seconds: z.number().min(0),
});

const fileSchema = z.strictObject({ bytes: count, sha256: z.string() });

const schema = z.strictObject({
  version: z.literal(1),
  espalierVersion: z.string(),
  identity: identitySchema,
  progress: progressSchema,
  log: z.strictObject({ metricsBytes: count, eventsFile: z.string(), eventsBytes: count }),
  files: z.record(z.string(), fileSchema),
});

export type RunIdentity = z.infer<typeof identitySchema>;
export type RunProgress = z.infer<typeof progressSchema>;
export type FileRecord = z.infer<typeof fileSchema>;
export type CheckpointState = z.infer<typeof schema>;

export function newProgress(): RunProgress {
  return {
    step: 0,
    updates: 0,
    consumedSamples: 0,
    consumedTokens: 0,
    skippedInARow: 0,
    skipped: 0,
    hopelessInARow: 0,
    firstLoss: null,
    lastLoss: null,
    valLoss: null,
    best: null,
    seconds: 0,
  };
}

/** ERR_TRAIN_CHECKPOINT when `value` is not what state.json should be. */
export function parseState(value: unknown, path: string): CheckpointState {
  return parseFields(schema, value, { code: "ERR_TRAIN_CHECKPOINT", where: path });
}

export function hashOf(value: unknown): string {
  return `sha256:${createHash("sha256").update(JSON.stringify(value)).digest("hex")}`;
}

/** ERR_TRAIN_RESUME names the first field in which the run and the command differ. */
export function checkIdentity(saved: RunIdentity, now: RunIdentity, run: string): void {
  const refuse = (field: string, before: unknown, after: unknown): never => {
    throw new EspalierError(
      "ERR_TRAIN_RESUME",
      `${run}: ${field}: the run was started with ${show(before)}, found ${show(after)}`,
    );
  };
  // Options first: another sequence length makes another fingerprint of the data too, and is the better explanation.
  const names = new Set([...Object.keys(saved.options), ...Object.keys(now.options)]);
  for (const name of names)
    if (!isDeepStrictEqual(saved.options[name], now.options[name]))
      refuse(name, saved.options[name], now.options[name]);
  for (const field of ["spec", "model", "teacher", "data"] as const)
    if (saved[field] !== now[field]) refuse(field, saved[field], now[field]);
}

function show(value: unknown): string {
  return value === undefined || value === null ? "none" : JSON.stringify(value);
}
