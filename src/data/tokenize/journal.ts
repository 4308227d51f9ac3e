// SPDX-License-Identifier: Apache-2.0
/**
 * How far a run came, so that the next one goes on from there. Written after the tokens it counts are on the disk.
 */
import { createHash } from "node:crypto";
import { open, readdir, readFile, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { WriterState } from "../indexed-dataset/index.js";
import type { Position } from "./chunks.js";

const NAME = "journal.json";
const VERSION = 1;

export interface Counters {
  emptyDocuments: number;
  textBytes: number;
  badLines: number;
  /** The first few, "FILE:LINE: REASON". */
  badLineExamples: string[];
}

export interface JournalEntry {
  position: Position;
  written: WriterState;
  counters: Counters;
}

const count = z.number().int().min(0);
const schema = z.object({
  version: z.literal(VERSION),
  /** Of inputs, tokenizer and options. */
  signature: z.string(),
  position: z.object({ input: count, offset: count, line: count }),
  written: z.object({ tokens: count, sequences: count, documents: count }),
  counters: z.object({
    emptyDocuments: count,
    textBytes: count,
    badLines: count,
    badLineExamples: z.array(z.string()),
  }),
});

/** Identifies a run; a run of another signature starts anew. */
export function signatureOf(parts: unknown): string {
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex");
}

/** null when there is nothing to go on from: the directory is emptied then. */
export async function readJournal(directory: string, signature: string): Promise<JournalEntry | null> {
  const text = await readFile(join(directory, NAME), "utf8").catch(() => "null");
  const parsed = schema.safeParse(parse(text));
  if (parsed.success && parsed.data.signature === signature) return parsed.data;
  for (const name of await readdir(directory)) await rm(join(directory, name), { recursive: true });
  return null;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

export async function writeJournal(directory: string, signature: string, entry: JournalEntry): Promise<void> {
  const path = join(directory, NAME);
  const file = await open(`${path}.new`, "w");
  try {
    await file.writeFile(JSON.stringify({ version: VERSION, signature, ...entry }));
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
}

export async function removeJournal(directory: string): Promise<void> {
  await rm(join(directory, NAME), { force: true });
}
