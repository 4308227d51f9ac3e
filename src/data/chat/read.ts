// SPDX-License-Identifier: Apache-2.0
/**
 * All conversations of JSON lines, encoded by the worker.
 */
import { throwIfAborted } from "../../abort.js";
import { EspalierError } from "../../errors.js";
import type { WorkerClient } from "../../workers/client.js";
import { chunksOf, type ChunkPlan, type Position } from "../tokenize/chunks.js";
import { findInputs, type InputFile } from "../tokenize/inputs.js";
import type { BadLine } from "../tokenize/messages.js";
import type { ChatOperations, EncodedConversations } from "./worker.js";

export interface Conversations extends BadLines {
  tokens: Int32Array;
  /** [tokens] 1: the assistant's. */
  learned: Uint8Array;
  /** [conversations + 1] */
  starts: Float64Array;
  /** Of all of the above. */
  hash: string;
}

interface BadLines {
  badLines: number;
  /** The first few: place and reason. */
  badLineExamples: string[];
}

export interface ReadOptions {
  inputs: readonly string[];
  maxBadLines?: number;
  signal?: AbortSignal;
  onProgress?: (progress: { stage: "encoding"; done: number; total: number }) => void;
}

const EXAMPLES_TOLD = 5;

export async function readConversations(
  options: ReadOptions,
  client: WorkerClient<ChatOperations>,
): Promise<Conversations> {
  const inputs = await findInputs(options.inputs);
  const wrong = inputs.find(({ kind }) => kind !== "jsonl");
  if (wrong !== undefined)
    throw new EspalierError("ERR_DATA_INPUT", `${wrong.path}: expected JSON lines of conversations`);
  const total = inputs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const parts: EncodedConversations[] = [];
  const found: BadLines = { badLines: 0, badLineExamples: [] };
  const plan: ChunkPlan = { inputs, splitOn: "lines", parquetGroups: () => Promise.resolve([]) };
  let position: Position = { input: 0, offset: 0, line: 0 };
  for await (const { chunk, input, next, doneBytes } of chunksOf(plan, position)) {
    throwIfAborted(options.signal);
    if (!("bytes" in chunk)) continue;
    const part = await client.call("encode", chunk, { transfer: [chunk.bytes.buffer] });
    const before = input === position.input ? position.line : 0;
    countBadLines(found, part.bad, inputs[input]!, before);
    position = { ...next, line: next.input === input ? before + part.lines : 0 };
    parts.push(part);
    options.onProgress?.({ stage: "encoding", done: doneBytes, total });
  }
  const { maxBadLines = 0 } = options;
  if (found.badLines > maxBadLines) throw tooManyBadLines(found, maxBadLines);
  return { ...join(parts), ...found, hash: await client.call("digest", null) };
}

function countBadLines(found: BadLines, bad: readonly BadLine[], { path }: InputFile, linesBefore: number): void {
  found.badLines += bad.length;
  for (const { line, reason } of bad)
    if (found.badLineExamples.length < EXAMPLES_TOLD)
      found.badLineExamples.push(`${path}:${linesBefore + line + 1}: ${reason}`);
}

function tooManyBadLines({ badLines, badLineExamples }: BadLines, allowed: number): EspalierError {
  const [first = "", ...others] = badLineExamples;
  const named = others.map((place) => `; ${place}`).join("");
  const counted = badLines === 1 ? "" : ` (${badLines} bad lines, ${allowed} are allowed${named})`;
  return new EspalierError("ERR_DATA_CHAT", `${first}${counted}`);
}

function join(parts: readonly EncodedConversations[]): Omit<Conversations, "hash" | keyof BadLines> {
  const length = parts.reduce((sum, { tokens }) => sum + tokens.length, 0);
  const [tokens, learned] = [new Int32Array(length), new Uint8Array(length)];
  const starts = new Float64Array(parts.reduce((sum, { lengths }) => sum + lengths.length, 0) + 1);
  let [at, conversation] = [0, 0];
  for (const part of parts) {
    tokens.set(part.tokens, at);
    learned.set(part.learned, at);
    for (const size of part.lengths) starts[++conversation] = at += size;
  }
  return { tokens, learned, starts };
}
