// SPDX-License-Identifier: Apache-2.0
/**
 * tokenizeCorpus: text, JSON lines and parquet become a .bin/.idx pair, on several threads, in the order of the input.
 */
import { availableParallelism } from "node:os";
import { writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { abortError, throwIfAborted } from "../../abort.js";
import { EspalierError } from "../../errors.js";
import { makeDirectory, toWriteError, writeDirectoryResumably } from "../../files/atomic-directory.js";
import { withLock } from "../../files/lock.js";
import type { TokenizerSource } from "../../tokenizer/index.js";
import { dtypeForVocab, IndexedDatasetWriter } from "../indexed-dataset/index.js";
import { MANIFEST_VERSION, manifestPath, type DataManifest } from "../manifest.js";
import { chunksOf, type PlannedChunk, type Position, type SplitOn } from "./chunks.js";
import { findInputs, inputName, type InputFile } from "./inputs.js";
import { readJournal, removeJournal, signatureOf, writeJournal, type Counters, type JournalEntry } from "./journal.js";
import type { EncodedChunk, LoadedTokenizer } from "./messages.js";
import { TokenizingThreads } from "./thread-pool.js";
import { tokenizerSourceOf } from "./tokenizer-source.js";

export interface TokenizeOptions {
  /** Text, JSON lines (both also .gz), parquet, directories of these, "npm:PACKAGE". */
  inputs: readonly string[];
  /** Files left out, by name; "*" stands for any characters. Default: none. */
  exclude?: readonly string[];
  /** Model directory, tokenizer.json, GGUF file, or a source. */
  tokenizer: string | TokenizerSource;
  /** Directory to make; must not exist. */
  out: string;
  /** Field of JSON lines, column of parquet. Default: "text". */
  jsonKey?: string;
  /** How a text file becomes documents. Default: "file", one document. */
  splitOn?: SplitOn;
  /** Ends each document that has tokens with the end-of-document token. Default: false. */
  appendEod?: boolean;
  /** Default: the tokenizer's end-of-sequence token. */
  eodToken?: string;
  /** Adds what the tokenizer's post-processor adds to each text, as a beginning-of-sequence token. Default: false. */
  addSpecialTokens?: boolean;
  /** Of the files: PREFIX_KEY_document.bin. Default: the name of `out`. */
  prefix?: string;
  /** Lines without text that may be left out; one more ends the work. Default: 0. */
  maxBadLines?: number;
  /** Default: the number of processors. */
  workers?: number;
  signal?: AbortSignal;
  onProgress?: (progress: TokenizeProgress) => void;
}

export interface TokenizeProgress {
  stage: "waiting" | "tokenizing";
  /** Bytes of the input. */
  done: number;
  total: number;
  tokens: number;
  documents: number;
}

export interface TokenizeReport extends DataManifest {
  directory: string;
  /** Of PREFIX.bin and PREFIX.idx, without the directory. */
  prefix: string;
  /** The first few, "FILE:LINE: REASON". */
  badLineExamples: string[];
  /** Documents that an earlier, interrupted run had done. */
  resumedDocuments: number;
  seconds: number;
}

const EXAMPLES_TOLD = 20;
const JOURNAL_INTERVAL_MS = 2000;
/** Chunks handed out ahead of the one that is written next, per thread. */
const CHUNKS_AHEAD = 3;

interface Job {
  options: TokenizeOptions;
  inputs: readonly InputFile[];
  threads: TokenizingThreads;
  tokenizer: LoadedTokenizer;
  prefix: string;
  signature: string;
}

/**
 * Tokenizes a corpus. Started again after it was stopped, it goes on where it was. ERR_DATA_INPUT, ERR_DATA_LINE,
 * ERR_DATA_EMPTY, ERR_DATA_EOD, ERR_OUTPUT_EXISTS.
 *
 * @example
 * await tokenizeCorpus({ inputs: ["corpus.jsonl"], tokenizer: "models/smollm2", out: "corpus", appendEod: true });
 */
export async function tokenizeCorpus(options: TokenizeOptions): Promise<TokenizeReport> {
  const started = performance.now();
  const inputs = await findInputs(options.inputs, options.exclude);
  const total = inputs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const threads = new TokenizingThreads(workersOf(options));
  const stop = (): void => threads.end();
  options.signal?.addEventListener("abort", stop, { once: true });
  let report: Omit<TokenizeReport, "seconds"> | null = null;
  try {
    throwIfAborted(options.signal);
    const tokenizer = await loadTokenizer(options, threads);
    const job: Job = { options, inputs, threads, tokenizer, ...identityOf(options, inputs, tokenizer) };
    const onWait = (): void => options.onProgress?.({ stage: "waiting", done: 0, total, tokens: 0, documents: 0 });
    await withLock(await lockPath(options.out), { signal: options.signal, onWait }, () =>
      writeDirectoryResumably(
        options.out,
        async (staging) => {
          report = await fill(job, staging, total);
        },
        { signal: options.signal },
      ),
    );
  } catch (error) {
    throw options.signal?.aborted === true ? abortError(options.signal) : error;
  } finally {
    options.signal?.removeEventListener("abort", stop);
    threads.end();
  }
  return { ...report!, seconds: (performance.now() - started) / 1000 };
}

/** Beside the output, for two runs with the same one. */
async function lockPath(out: string): Promise<string> {
  const place = resolve(out);
  await makeDirectory(dirname(place)).catch((error: unknown) => {
    throw toWriteError(error, out);
  });
  return join(dirname(place), `.${basename(place)}.espalier-lock`);
}

function workersOf({ workers = availableParallelism() }: TokenizeOptions): number {
  if (Number.isInteger(workers) && workers >= 1 && workers <= 1024) return workers;
  throw new EspalierError("ERR_ARGUMENT", `workers: expected a whole number from 1 to 1024, found ${workers}`);
}

async function loadTokenizer(options: TokenizeOptions, threads: TokenizingThreads): Promise<LoadedTokenizer> {
  const { tokenizer: given, appendEod = false, eodToken = null, jsonKey = "text", addSpecialTokens = false } = options;
  const source = typeof given === "string" ? await tokenizerSourceOf(given) : given;
  const tokenizer = await threads.load(source, eodToken);
  if (appendEod && tokenizer.eodTokenId === null)
    throw new EspalierError("ERR_DATA_EOD", "the tokenizer names no end-of-sequence token to append");
  const eodTokenId = appendEod ? tokenizer.eodTokenId : null;
  await threads.prepare({ dtype: dtypeForVocab(tokenizer.vocabSize), jsonKey, addSpecialTokens, eodTokenId });
  return tokenizer;
}

function identityOf(
  options: TokenizeOptions,
  inputs: readonly InputFile[],
  tokenizer: LoadedTokenizer,
): { prefix: string; signature: string } {
  const { jsonKey = "text", splitOn = "file", appendEod = false, addSpecialTokens = false } = options;
  const name = options.prefix ?? basename(resolve(options.out));
  if (name === "" || /[\\/]/.test(name + jsonKey))
    throw new EspalierError("ERR_ARGUMENT", `prefix: expected a file name, found ${JSON.stringify(name)}`);
  const prefix = `${name}_${jsonKey}_document`;
  const signature = signatureOf({ inputs, tokenizer, jsonKey, splitOn, appendEod, addSpecialTokens, prefix });
  return { prefix, signature };
}

async function fill(job: Job, staging: string, total: number): Promise<Omit<TokenizeReport, "seconds">> {
  const { options, tokenizer, prefix } = job;
  const found = await readJournal(staging, job.signature);
  const dtype = dtypeForVocab(tokenizer.vocabSize);
  const writer = await IndexedDatasetWriter.create(join(staging, prefix), dtype, found?.written);
  const entry: JournalEntry = {
    position: found?.position ?? { input: 0, offset: 0, line: 0 },
    written: writer.state,
    counters: found?.counters ?? { emptyDocuments: 0, textBytes: 0, badLines: 0, badLineExamples: [] },
  };
  const resumedDocuments = writer.state.documents;
  try {
    await writeAll(job, writer, entry, staging, total);
    throwIfAborted(options.signal);
    if (writer.state.tokens === 0)
      throw new EspalierError(
        "ERR_DATA_EMPTY",
        `${options.inputs.join(", ")}: ${writer.state.documents} documents, none of them with text`,
      );
    await writer.finish();
  } finally {
    await writer.close();
  }
  const manifest = manifestOf(job, writer, entry.counters);
  await writeFile(manifestPath(join(staging, prefix)), `${JSON.stringify(manifest, null, 2)}\n`);
  await removeJournal(staging); // before the spool: a journal without it could not be followed
  await writer.removeSpool();
  const { badLineExamples } = entry.counters;
  return { ...manifest, directory: options.out, prefix, badLineExamples, resumedDocuments };
}

/** Hands chunks to the threads and writes what they give in the order of the chunks. */
async function writeAll(
  job: Job,
  writer: IndexedDatasetWriter,
  entry: JournalEntry,
  staging: string,
  total: number,
): Promise<void> {
  const { options, inputs, threads } = job;
  const ahead: { planned: PlannedChunk; encoded: Promise<EncodedChunk> }[] = [];
  let journaledAt = -Infinity;
  const writeNext = async (): Promise<void> => {
    const { planned, encoded } = ahead.shift()!;
    const result = await encoded;
    throwIfAborted(options.signal);
    countLines(job, planned, result, entry);
    await writer.append(result.tokens, result.records);
    entry.written = writer.state;
    const { tokens, documents } = writer.state;
    options.onProgress?.({ stage: "tokenizing", done: planned.doneBytes, total, tokens, documents });
    if (performance.now() - journaledAt < JOURNAL_INTERVAL_MS) return;
    await writer.sync();
    await writeJournal(staging, job.signature, entry);
    journaledAt = performance.now();
  };
  const parquetGroups = (path: string): Promise<number[]> => threads.parquetGroups(path, options.jsonKey ?? "text");
  const plan = { inputs, splitOn: options.splitOn ?? "file", parquetGroups };
  for await (const planned of chunksOf(plan, entry.position)) {
    const encoded = threads.encode(planned.chunk);
    encoded.catch(() => {}); // told when its turn comes
    ahead.push({ planned, encoded });
    if (ahead.length > CHUNKS_AHEAD * workersOf(options)) await writeNext();
  }
  while (ahead.length > 0) await writeNext();
}

/** Moves the journal's entry behind a chunk. */
function countLines(job: Job, planned: PlannedChunk, result: EncodedChunk, entry: JournalEntry): void {
  const { counters, position } = entry;
  counters.emptyDocuments += result.emptyDocuments;
  counters.textBytes += result.textBytes;
  counters.badLines += result.badLines;
  const before = planned.input === position.input ? position.line : 0;
  for (const { line, reason } of result.bad) {
    const { chunk } = planned;
    const place =
      chunk.kind === "files" ? chunk.files[line]!.path : `${job.inputs[planned.input]!.path}:${before + line + 1}`;
    if (counters.badLineExamples.length < EXAMPLES_TOLD) counters.badLineExamples.push(`${place}: ${reason}`);
  }
  const { maxBadLines = 0 } = job.options;
  if (counters.badLines > maxBadLines) {
    const more = counters.badLines === 1 ? "" : ` (${counters.badLines} bad lines, ${maxBadLines} are allowed)`;
    throw new EspalierError("ERR_DATA_LINE", `${counters.badLineExamples[0] ?? ""}${more}`);
  }
  const line = planned.next.input === planned.input ? before + result.lines : 0;
  entry.position = { ...planned.next, line } satisfies Position;
}

function manifestOf(
  { options, inputs, tokenizer }: Job,
  writer: IndexedDatasetWriter,
  counters: Counters,
): DataManifest {
  const { tokens, sequences, documents } = writer.state;
  const { emptyDocuments, textBytes, badLines } = counters;
  const { jsonKey = "text", appendEod = false, addSpecialTokens = false } = options;
  return {
    version: MANIFEST_VERSION,
    tokenizer,
    dtype: writer.dtype,
    documents,
    sequences,
    tokens,
    emptyDocuments,
    textBytes,
    badLines,
    jsonKey,
    appendEod,
    addSpecialTokens,
    inputs: inputs.map((input) => ({ name: inputName(input), sizeBytes: input.sizeBytes })),
  };
}
