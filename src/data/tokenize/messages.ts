// SPDX-License-Identifier: Apache-2.0
/**
 * What the tokenizing threads are given and what they give.
 */
import type { TokenizerSource } from "../../tokenizer/index.js";

/** A part of a corpus that one thread tokenizes at once. Its documents do not depend on where parts begin. */
export type Chunk =
  /** Whole lines (jsonl, lines) or paragraphs between blank lines, UTF-8. */
  | { kind: "jsonl" | "lines" | "blank-lines"; bytes: Uint8Array<ArrayBuffer> }
  /** Files, each one document. */
  | { kind: "files"; files: { path: string; gzip: boolean }[] }
  | { kind: "parquet"; path: string; rowBegin: number; rowEnd: number };

export interface LoadedTokenizer {
  fingerprint: string;
  vocabSize: number;
  /** Of the token that was named, or the tokenizer's own; null: it has none. */
  eodTokenId: number | null;
}

export interface BadLine {
  /** Line of the chunk, or row, from 0; for files their place in it. */
  line: number;
  reason: string;
}

export interface EncodedChunk {
  tokens: Uint16Array | Int32Array;
  /** As IndexedDatasetWriter.append takes them. */
  records: Int32Array;
  /** Lines, rows or files gone through. */
  lines: number;
  emptyDocuments: number;
  /** UTF-8 bytes of the texts. */
  textBytes: number;
  badLines: number;
  /** The first few. */
  bad: BadLine[];
}

export interface TokenizeOperations {
  load: { in: { source: TokenizerSource; eodToken: string | null }; out: LoadedTokenizer };
  prepare: { in: EncodeOptions; out: void };
  encode: { in: Chunk; out: EncodedChunk };
  /** Rows of a parquet file; ERR_DATA_INPUT when it is none or lacks the column. */
  rows: { in: { path: string; column: string }; out: { groups: number[] } };
}

export interface EncodeOptions {
  dtype: "uint16" | "int32";
  jsonKey: string;
  addSpecialTokens: boolean;
  /** Put after each document that has tokens; null: nothing. */
  eodTokenId: number | null;
}
