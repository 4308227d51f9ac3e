// SPDX-License-Identifier: Apache-2.0
/**
 * How far a search came: search.json in its work directory.
 */
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { fingerprintOf, openCheckpoint } from "../checkpoint/index.js";
import { EspalierError } from "../errors.js";
import { replaceFile } from "../files/replace-file.js";
import { parseFields } from "../model/parse-fields.js";
import type { ResolvedSearchOptions } from "./config.js";

export const STATE = "search.json";
const size = z.number().int().min(1);

const candidate = z.strictObject({
  hidden: size,
  ffn: size,
  heads: size,
  kvHeads: size,
  layers: size,
  parameters: size,
  keptImportance: z.number().nullable(),
  memoryBytes: z.number().optional(),
  latencyMs: z.number().optional(),
  disturbed: z.boolean().nullish(),
});

const outcome = z.strictObject({
  /** Validation cross-entropy of the distilled candidate, nats a token: what ranks. */
  loss: z.number(),
  /** Validation loss as trained: that of the teacher's terms. */
  distillLoss: z.number().nullable(),
  seconds: z.number(),
  /** Fingerprint of the data. */
  data: z.string(),
});

const schema = z.strictObject({
  /** Of options and model. */
  signature: z.string(),
  sourceLatencyMs: z.number().optional(),
  candidates: z.array(candidate).min(1),
  /** One for each candidate; null: not known yet. */
  outcomes: z.array(outcome.nullable()),
});

export type SearchOutcome = z.output<typeof outcome>;
export type SearchState = z.output<typeof schema>;

/** null when there is none. ERR_SEARCH_RESUME: of another search, or damaged. */
export async function readState(work: string, signature: string): Promise<SearchState | null> {
  const path = join(work, STATE);
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw new EspalierError("ERR_SEARCH_RESUME", `${path}: ${(error as Error).message}`, { cause: error });
  }
  const state = parseFields(schema, parse(text, path), { code: "ERR_SEARCH_RESUME", where: path });
  if (state.signature === signature) return state;
  throw new EspalierError(
    "ERR_SEARCH_RESUME",
    `${work}: expected the search that this command began, found that of another model or other options`,
  );
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new EspalierError("ERR_SEARCH_RESUME", `${path}: ${(cause as Error).message}`, { cause });
  }
}

export function writeState(work: string, state: SearchState): Promise<void> {
  return replaceFile(join(work, STATE), `${JSON.stringify(state, null, 1)}\n`);
}

/** Of all that decides a search's result, but the data: the runs compare that themselves. */
export async function signatureOf({ model, prune, search }: ResolvedSearchOptions): Promise<string> {
  await using checkpoint = await openCheckpoint(model);
  const { out: _out, model: _model, importance, ...options } = prune;
  const { data: _data, threads: _threads, isa: _isa, ...training } = search;
  const hash = createHash("sha256").update(await fingerprintOf(checkpoint));
  hash.update(JSON.stringify([Object.entries(options).sort(), Object.entries(training).sort()]));
  if (typeof importance === "string") {
    hash.update(importance);
    for (const name of ["importance.json", "scores.safetensors"])
      hash.update(await readFile(join(importance, name)).catch(() => ""));
  } else if (importance !== undefined) hash.update(JSON.stringify(importance));
  return `sha256:${hash.digest("hex")}`;
}
