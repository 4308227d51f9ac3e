// SPDX-License-Identifier: Apache-2.0
/**
 * Reads and checks a .idx file. Nothing in it is believed before it was held against the files' sizes.
 */
import type { FileHandle } from "node:fs/promises";
import { EspalierError } from "../../errors.js";
import { dtypeOfCode, dtypes, HEADER_BYTES, MAGIC, VERSION, type TokenDtype } from "./layout.js";

export interface SequenceIndex {
  dtype: TokenDtype;
  /** [N] Tokens of each sequence. */
  lengths: Int32Array;
  /** [N + 1] Place of each sequence's first token in .bin, in tokens; then the end. */
  starts: Float64Array;
  /** [D] First sequence of each document; then N. */
  documents: Int32Array;
}

/** A multiple of every element's size. */
const CHUNK_BYTES = 1 << 20;
const MAX_SEQUENCES = 2 ** 31 - 1;
const TWO_32 = 2 ** 32;

/** `path` is named in errors; `file` is open at it. */
export async function readIndex(file: FileHandle, path: string): Promise<SequenceIndex> {
  const { size } = await file.stat();
  const header = await readHeader(file, path, size);
  const { sequences, documentEnds, dtype } = header;
  const lengths = new Int32Array(sequences);
  const bytes = new Uint8Array(lengths.buffer);
  for (let at = 0; at < bytes.length; at += CHUNK_BYTES)
    await readFully(file, path, bytes.subarray(at, at + CHUNK_BYTES), HEADER_BYTES + at);
  const starts = startsOf(lengths, path);
  await checkPointers(file, path, starts, dtypes[dtype].bytes);
  const documents = await readDocuments(file, path, HEADER_BYTES + 12 * sequences, documentEnds, sequences);
  return { dtype, lengths, starts, documents };
}

interface Header {
  dtype: TokenDtype;
  sequences: number;
  /** Documents + 1. */
  documentEnds: number;
}

async function readHeader(file: FileHandle, path: string, size: number): Promise<Header> {
  const header = Buffer.alloc(Math.min(HEADER_BYTES, size));
  await readFully(file, path, header, 0);
  if (!header.subarray(0, MAGIC.length).equals(MAGIC))
    throw new EspalierError(
      "ERR_DATA_MAGIC",
      `${path}: expected a Megatron index, which begins with "MMIDIDX", found ${printable(header.subarray(0, MAGIC.length))}`,
    );
  if (size < HEADER_BYTES)
    throw new EspalierError("ERR_FILE_TRUNCATED", `${path}: the header takes ${HEADER_BYTES} bytes, found ${size}`);
  const version = header.readBigUInt64LE(9);
  if (version !== BigInt(VERSION))
    throw new EspalierError("ERR_DATA_VERSION", `${path}: version: expected ${VERSION}, found ${version}`);
  const dtype = dtypeOfCode(header.readUInt8(17), path);
  const sequences = header.readBigUInt64LE(18);
  const documentEnds = header.readBigUInt64LE(26);
  const expected = BigInt(HEADER_BYTES) + 12n * sequences + 8n * documentEnds;
  if (expected !== BigInt(size)) throw wrongSize(path, size, sequences, documentEnds, expected);
  if (sequences > BigInt(MAX_SEQUENCES))
    throw malformed(path, `the number of sequences: expected at most ${MAX_SEQUENCES}, found ${sequences}`);
  if (documentEnds < 1n) throw malformed(path, "the number of document indices: expected at least 1, found 0");
  return { dtype, sequences: Number(sequences), documentEnds: Number(documentEnds) };
}

function wrongSize(path: string, size: number, n: bigint, d: bigint, expected: bigint): EspalierError {
  const counts = `${n} sequences and ${d} document indices take ${expected} bytes`;
  if (n > 0n && BigInt(size) === expected + n)
    return malformed(path, `${counts}, found ${size}: it has sequence modes, and multimodal data is not read`);
  if (BigInt(size) < expected)
    return new EspalierError("ERR_FILE_TRUNCATED", `${path}: ${counts}, the file ends at ${size}`);
  return malformed(path, `${counts}, found ${size}`);
}

function printable(bytes: Buffer): string {
  return JSON.stringify(bytes.toString("latin1"));
}

function malformed(path: string, what: string): EspalierError {
  return new EspalierError("ERR_DATA_INDEX", `${path}: ${what}`);
}

export async function readFully(file: FileHandle, path: string, out: Uint8Array, position: number): Promise<void> {
  for (let filled = 0; filled < out.length;) {
    const { bytesRead } = await file.read(out, filled, out.length - filled, position + filled);
    if (bytesRead === 0)
      throw new EspalierError(
        "ERR_FILE_TRUNCATED",
        `${path}: expected ${out.length} bytes at ${position}, the file ends at ${position + filled}`,
      );
    filled += bytesRead;
  }
}

function startsOf(lengths: Int32Array, path: string): Float64Array {
  const starts = new Float64Array(lengths.length + 1);
  let start = 0;
  for (let i = 0; i < lengths.length; ++i) {
    if (lengths[i]! < 0) throw malformed(path, `the length of sequence ${i}: expected 0 or more, found ${lengths[i]}`);
    start += lengths[i]!;
    starts[i + 1] = start;
  }
  return starts;
}

/** Sequences must lie back to back, in order. */
async function checkPointers(file: FileHandle, path: string, starts: Float64Array, itemBytes: number): Promise<void> {
  const count = starts.length - 1;
  await forEachInt64(file, path, HEADER_BYTES + 4 * count, count, (value, i) => {
    const expected = starts[i]! * itemBytes;
    if (value !== expected)
      throw malformed(path, `the pointer of sequence ${i}: expected ${expected}, after the one before, found ${value}`);
  });
}

async function readDocuments(
  file: FileHandle,
  path: string,
  position: number,
  count: number,
  sequences: number,
): Promise<Int32Array> {
  const documents = new Int32Array(count);
  let previous = 0;
  await forEachInt64(file, path, position, count, (value, i) => {
    if (i === 0 && value !== 0) throw malformed(path, `document index 0: expected 0, found ${value}`);
    if (!(value >= previous && value <= sequences))
      throw malformed(path, `document index ${i}: expected ${previous} to ${sequences}, found ${value}`);
    documents[i] = value;
    previous = value;
  });
  if (previous !== sequences)
    throw malformed(path, `the last document index: expected ${sequences}, the number of sequences, found ${previous}`);
  return documents;
}

/** Values beyond 2^53 come as they round, which no check takes for a right one. */
async function forEachInt64(
  file: FileHandle,
  path: string,
  position: number,
  count: number,
  visit: (value: number, i: number) => void,
): Promise<void> {
  const halves = new Uint32Array(Math.min(count, CHUNK_BYTES / 8) * 2);
  const bytes = new Uint8Array(halves.buffer);
  for (let done = 0; done < count;) {
    const here = Math.min(count - done, halves.length / 2);
    await readFully(file, path, bytes.subarray(0, here * 8), position + done * 8);
    for (let i = 0; i < here; ++i) visit((halves[2 * i + 1]! | 0) * TWO_32 + halves[2 * i]!, done + i);
    done += here;
  }
}
