// SPDX-License-Identifier: Apache-2.0
/**
 * The documents of a chunk. Runs in the worker.
 */
import { isUtf8 } from "node:buffer";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { isRecord } from "../../json.js";
import { readError } from "./chunks.js";
import type { Chunk } from "./messages.js";
import { parquetColumn } from "./parquet.js";

/** One text, several sequences of one document, or what is wrong. `line`: see BadLine. */
export type Document = { line: number; texts: string[] } | { line: number; bad: string };

const NEWLINE = 10;
const BYTE_ORDER_MARK = "\ufeff";

/** Lines of a chunk, rows or files it was made of. */
export type LineCount = { lines: number };

export async function* documentsOf(chunk: Chunk, jsonKey: string, count: LineCount): AsyncGenerator<Document> {
  switch (chunk.kind) {
    case "files":
      for (const { path, gzip } of chunk.files) {
        const bytes = await readWhole(path, gzip);
        const line = count.lines++;
        yield isUtf8(bytes) ? { line, texts: [withoutMark(bytes.toString("utf8"))] } : { line, bad: "not UTF-8" };
      }
      return;
    case "parquet":
      for (const value of await parquetColumn(chunk.path, jsonKey, chunk.rowBegin, chunk.rowEnd)) {
        const line = count.lines++;
        yield { line, ...textsOf(value, jsonKey) };
      }
      return;
    case "jsonl":
      for (const line of linesOf(chunk.bytes, count))
        yield "bad" in line ? line : { line: line.line, ...parseLine(line.text, jsonKey) };
      return;
    case "lines":
      for (const line of linesOf(chunk.bytes, count))
        yield "bad" in line ? line : { line: line.line, texts: [line.text] };
      return;
    case "blank-lines":
      yield* paragraphsOf(chunk.bytes, count);
  }
}

async function readWhole(path: string, gzip: boolean): Promise<Buffer> {
  try {
    const bytes = await readFile(path);
    return gzip ? await promisify(gunzip)(bytes) : bytes;
  } catch (error) {
    throw readError(path, error);
  }
}

function withoutMark(text: string): string {
  return text.startsWith(BYTE_ORDER_MARK) ? text.slice(1) : text;
}

type Texts = { texts: string[] } | { bad: string };

function parseLine(text: string, jsonKey: string): Texts {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return { bad: `not JSON: ${(error as Error).message}` };
  }
  if (!isRecord(value)) return { bad: "expected an object" };
  return textsOf(value[jsonKey], jsonKey);
}

/** A list of strings is one document of several sequences, as Megatron takes it. */
function textsOf(value: unknown, jsonKey: string): Texts {
  if (typeof value === "string") return { texts: [value] };
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return { texts: value };
  const found = value === undefined ? "nothing" : value === null ? "null" : typeof value;
  return { bad: `${jsonKey}: expected a string, found ${found}` };
}

/** A line of text, or what is wrong with it. */
export type Line = { line: number; text: string } | { line: number; bad: string };

/** Lines that are not blank. */
export function* linesOf(bytes: Uint8Array, count: LineCount): Generator<Line> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const sound = isUtf8(buffer);
  for (let begin = 0; begin < buffer.length;) {
    const found = buffer.indexOf(NEWLINE, begin);
    const end = found === -1 ? buffer.length : found;
    const line = count.lines++;
    const piece = buffer.subarray(begin, end);
    begin = end + 1;
    if (!sound && !isUtf8(piece)) {
      yield { line, bad: "not UTF-8" };
      continue;
    }
    const text = piece.toString("utf8").replace(/\r$/, "");
    if (/\S/.test(text)) yield { line, text };
  }
}

function* paragraphsOf(bytes: Uint8Array, count: LineCount): Generator<Document> {
  let [first, lines] = [0, [] as string[]];
  let bad = false;
  const flush = function* (): Generator<Document> {
    if (bad) yield { line: first, bad: "not UTF-8" };
    else if (lines.length > 0) yield { line: first, texts: [lines.join("\n")] };
    [lines, bad] = [[], false];
  };
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let begin = 0; begin < buffer.length;) {
    const found = buffer.indexOf(NEWLINE, begin);
    const end = found === -1 ? buffer.length : found;
    const piece = buffer.subarray(begin, end);
    const text = piece.toString("utf8").replace(/\r$/, "");
    begin = end + 1;
    if (text === "") yield* flush();
    else {
      if (lines.length === 0) first = count.lines;
      lines.push(text);
      bad ||= !isUtf8(piece);
    }
    count.lines += 1;
  }
  yield* flush();
}
