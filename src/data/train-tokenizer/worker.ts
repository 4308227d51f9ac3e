// SPDX-License-Identifier: Apache-2.0
/**
 * Counts a corpus's words and trains on them, off the event loop.
 */
import { EspalierError } from "../../errors.js";
import { GPT2_PATTERN } from "../../tokenizer/adapt.js";
import { compilePattern, splitBy } from "../../tokenizer/corpus/splitter.js";
import { trainBpe, type TrainedBpe } from "../../tokenizer/byte-level/train.js";
import { serve } from "../../workers/serve.js";
import { documentsOf } from "../tokenize/documents.js";
import type { BadLine, Chunk } from "../tokenize/messages.js";
import { parquetGroups } from "../tokenize/parquet.js";

export interface CountedChunk {
  lines: number;
  textBytes: number;
  bad: BadLine[];
}

export interface TrainTokenizerOperations {
  count: { in: { chunk: Chunk; jsonKey: string }; out: CountedChunk };
  train: {
    in: { vocabSize: number; specialTokens: readonly string[]; minFrequency: number };
    out: TrainedBpe & { uniqueWords: number };
    progress: number;
  };
  rows: { in: { path: string; column: string }; out: number[] };
}

/** What a Map holds with room to spare. */
const MAX_WORDS = 2 ** 23;
const SLICE_LENGTH = 13;

const pattern = compilePattern(GPT2_PATTERN)!;
const words = new Map<string, number>();

serve<TrainTokenizerOperations>("tokenizer trainer", {
  count: async ({ chunk, jsonKey }) => {
    const counted: CountedChunk = { lines: 0, textBytes: 0, bad: [] };
    for await (const document of documentsOf(chunk, jsonKey, counted)) {
      if ("bad" in document) counted.bad.push({ line: document.line, reason: document.bad });
      else for (const text of document.texts) counted.textBytes += countWords(text);
    }
    return counted;
  },
  train: (options, report) => ({ ...trainBpe({ words, ...options, onMerge: report }), uniqueWords: words.size }),
  rows: ({ path, column }) => parquetGroups(path, column),
});

/** Returns the text's bytes. */
function countWords(text: string): number {
  splitBy(pattern, text.replace(/\p{Surrogate}/gu, "\ufffd"), (word) => {
    const count = words.get(word);
    if (count !== undefined) return words.set(word, count + 1);
    if (words.size >= MAX_WORDS)
      throw new EspalierError("ERR_ARGUMENT", `the corpus has more than ${MAX_WORDS} different words; train on a part`);
    // V8 cuts long words from a text as slices that hold on to all of it; a copy does not.
    words.set(word.length < SLICE_LENGTH ? word : Buffer.from(word, "utf16le").toString("utf16le"), 1);
  });
  return Buffer.byteLength(text);
}
