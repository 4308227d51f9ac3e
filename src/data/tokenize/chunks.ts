// SPDX-License-Identifier: Apache-2.0
/**
 * Cuts a corpus into chunks, from any place that an earlier run reached.
 */
import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { EspalierError } from "../../errors.js";
import type { InputFile } from "./inputs.js";
import type { Chunk } from "./messages.js";

/** How one text file becomes documents. */
export type SplitOn = "file" | "lines" | "blank-lines";

/** Where the next chunk begins. */
export interface Position {
  /** Of the inputs. */
  input: number;
  /** Bytes of uncompressed text, or rows of parquet. */
  offset: number;
  /** Lines, rows or files before it in this input. */
  line: number;
}

export interface PlannedChunk {
  chunk: Chunk;
  /** The input it begins in. */
  input: number;
  /** After it; `line` is still that before it, for only its lines' reader counts them. */
  next: Position;
  /** Bytes of the input files behind it, for progress. */
  doneBytes: number;
}

export interface ChunkPlan {
  inputs: readonly InputFile[];
  splitOn: SplitOn;
  /** Rows of each row group. */
  parquetGroups: (path: string) => Promise<number[]>;
}

const CHUNK_BYTES = 1 << 21;
/** What JavaScript strings can hold. */
const MAX_DOCUMENT_BYTES = 1 << 28;
const MAX_FILES = 256;
const NEWLINE = 10;
const RETURN = 13;
const BYTE_ORDER_MARK = Buffer.from("\ufeff");

export async function* chunksOf(plan: ChunkPlan, from: Position): AsyncGenerator<PlannedChunk> {
  let before = plan.inputs.slice(0, from.input).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  for (let input = from.input; input < plan.inputs.length;) {
    const file = plan.inputs[input]!;
    const begin = input === from.input ? from : { input, offset: 0, line: 0 };
    if (isWholeFile(file, plan.splitOn)) {
      const group = takeFiles(plan, input);
      before += group.sizeBytes;
      input = group.next.input;
      yield { ...group, doneBytes: before };
      continue;
    }
    const pieces = file.kind === "parquet" ? rowChunks(plan, file, begin) : textChunks(plan, file, begin);
    for await (const piece of pieces) yield { ...piece, doneBytes: before + piece.doneBytes };
    before += file.sizeBytes;
    input += 1;
  }
}

function isWholeFile(file: InputFile, splitOn: SplitOn): boolean {
  return file.kind === "text" && splitOn === "file";
}

function takeFiles(plan: ChunkPlan, input: number): Omit<PlannedChunk, "doneBytes"> & { sizeBytes: number } {
  const files: { path: string; gzip: boolean }[] = [];
  let sizeBytes = 0;
  let next = input;
  while (next < plan.inputs.length && files.length < MAX_FILES) {
    const file = plan.inputs[next]!;
    if (!isWholeFile(file, plan.splitOn) || (files.length > 0 && sizeBytes + file.sizeBytes > CHUNK_BYTES)) break;
    if (file.sizeBytes > MAX_DOCUMENT_BYTES)
      throw new EspalierError(
        "ERR_DATA_INPUT",
        `${file.path}: ${file.sizeBytes} bytes are too much for one document, at most ${MAX_DOCUMENT_BYTES} are read`,
        { hint: "Cut it into documents: --split-on blank-lines or --split-on lines." },
      );
    files.push({ path: file.path, gzip: file.gzip });
    sizeBytes += file.sizeBytes;
    next += 1;
  }
  return { chunk: { kind: "files", files }, input, next: { input: next, offset: 0, line: 0 }, sizeBytes };
}

async function* rowChunks(plan: ChunkPlan, file: InputFile, from: Position): AsyncGenerator<PlannedChunk> {
  const groups = await plan.parquetGroups(file.path);
  const rows = groups.reduce((sum, group) => sum + group, 0);
  let begin = 0;
  for (const [i, group] of groups.entries()) {
    const [rowBegin, rowEnd] = [begin, begin + group];
    begin = rowEnd;
    if (rowBegin < from.offset || group === 0) continue;
    const last = i === groups.length - 1;
    yield {
      chunk: { kind: "parquet", path: file.path, rowBegin, rowEnd },
      input: from.input,
      next: last ? { input: from.input + 1, offset: 0, line: 0 } : { input: from.input, offset: rowEnd, line: rowEnd },
      doneBytes: Math.round((file.sizeBytes * rowEnd) / rows),
    };
  }
}

async function* textChunks(plan: ChunkPlan, file: InputFile, from: Position): AsyncGenerator<PlannedChunk> {
  const kind = file.kind === "jsonl" || plan.splitOn === "file" ? "jsonl" : plan.splitOn;
  const lastCut = kind === "blank-lines" ? endOfLastParagraph : endOfLastLine;
  const { input } = from;
  let [offset, held, heldBytes] = [from.offset, [] as Buffer[], 0];
  let atStart = offset === 0;
  const take = (bytes: Buffer, next: Position, read: number): PlannedChunk => {
    const text = atStart && bytes.subarray(0, 3).equals(BYTE_ORDER_MARK) ? bytes.subarray(3) : bytes;
    const copy = new Uint8Array(text.length);
    copy.set(text);
    atStart = false;
    return { chunk: { kind, bytes: copy }, input, next, doneBytes: read };
  };
  for await (const { bytes, read } of readText(file, from.offset)) {
    held.push(bytes);
    heldBytes += bytes.length;
    if (heldBytes < CHUNK_BYTES) continue;
    const all = held.length === 1 ? held[0]! : Buffer.concat(held);
    const end = lastCut(all);
    if (end === 0 && heldBytes > MAX_DOCUMENT_BYTES)
      throw new EspalierError(
        "ERR_DATA_INPUT",
        `${file.path}: the document at byte ${offset} is longer than ${MAX_DOCUMENT_BYTES} bytes`,
      );
    if (end > 0) {
      offset += end;
      yield take(all.subarray(0, end), { input, offset, line: 0 }, read);
    }
    held = [all.subarray(end)];
    heldBytes = all.length - end;
  }
  yield take(Buffer.concat(held), { input: input + 1, offset: 0, line: 0 }, file.sizeBytes);
}

/** Place after the last newline; 0 when there is none. */
function endOfLastLine(bytes: Buffer): number {
  return bytes.lastIndexOf(NEWLINE) + 1;
}

/** Place after the last blank line that is followed by something, so that a paragraph is never cut. */
function endOfLastParagraph(bytes: Buffer): number {
  for (let at = bytes.lastIndexOf(NEWLINE); at > 0; at = bytes.lastIndexOf(NEWLINE, at - 1)) {
    const before = bytes[at - 1] === RETURN ? at - 2 : at - 1;
    if (bytes[before] === NEWLINE) return at + 1;
  }
  return 0;
}

/** Uncompressed bytes from `offset`, with the bytes of the file that were read so far. */
async function* readText(file: InputFile, offset: number): AsyncGenerator<{ bytes: Buffer; read: number }> {
  const start = file.gzip ? 0 : offset;
  const raw = createReadStream(file.path, { start, highWaterMark: 1 << 18 });
  const stream = file.gzip ? pipeline(raw, createGunzip({ chunkSize: 1 << 18 }), () => {}) : raw;
  let skip = file.gzip ? offset : 0;
  try {
    for await (const piece of stream as AsyncIterable<Buffer>) {
      const bytes = piece.subarray(Math.min(skip, piece.length));
      skip -= piece.length - bytes.length;
      if (bytes.length > 0) yield { bytes, read: start + raw.bytesRead };
    }
  } catch (error) {
    throw readError(file.path, error);
  } finally {
    raw.destroy();
  }
}

export function readError(path: string, error: unknown): EspalierError {
  if (error instanceof EspalierError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  if (code?.startsWith("Z_") === true || error instanceof RangeError)
    return new EspalierError("ERR_DATA_INPUT", `${path}: not gzip, or damaged: ${message}`, { cause: error });
  return new EspalierError("ERR_FILE_READ", `${path}: ${message}`, { cause: error });
}
