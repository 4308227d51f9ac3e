// SPDX-License-Identifier: Apache-2.0
/**
 * A sample's record in a cache of a teacher's largest logits, little-endian like all machines this runs on:
 *
 *   u32 checksum of the sample's tokens     u32 checksum of what follows
 *   f32 [length]         log of the sum of exp over the whole vocabulary
 *   f32 [length, topK]   the largest logits, best first
 *   u16 [length, topK]   their ids; u32 where the vocabulary has more than 65,536
 *   zeros up to a multiple of 8 bytes
 */
import { crc32 } from "node:zlib";
import type { TopLogits, TrainBatch } from "../native-trainer.js";

export interface RecordLayout {
  /** Tokens of a sample. */
  sequenceLength: number;
  topK: number;
  vocabSize: number;
}

const HEAD_BYTES = 8;

const hasShortIds = ({ vocabSize }: RecordLayout): boolean => vocabSize <= 2 ** 16;

export function recordBytes(layout: RecordLayout): number {
  const { sequenceLength, topK } = layout;
  const perToken = 4 + topK * (4 + (hasShortIds(layout) ? 2 : 4));
  return Math.ceil((HEAD_BYTES + sequenceLength * perToken) / 8) * 8;
}

/** Of row `index` of a batch: its tokens, and where its documents start. */
export function tokensChecksum({ tokens, documentStarts, length }: TrainBatch, index: number): number {
  const rowOf = (array: Int32Array): Uint8Array =>
    new Uint8Array(array.buffer, array.byteOffset + 4 * index * length, 4 * length);
  const sum = crc32(rowOf(tokens));
  return documentStarts === undefined ? sum : crc32(rowOf(documentStarts), sum);
}

/** The record of row `index` of a batch of this very layout. */
export function encodeRecord(layout: RecordLayout, batch: TrainBatch, index: number, top: TopLogits): Uint8Array {
  const { sums, values, ids, words, body } = viewsOf(layout, new Uint8Array(recordBytes(layout)));
  const { sequenceLength: length, topK } = layout;
  sums.set(top.logSumExp.subarray(index * length, (index + 1) * length));
  values.set(top.values.subarray(index * length * topK, (index + 1) * length * topK));
  ids.set(top.ids.subarray(index * length * topK, (index + 1) * length * topK));
  words[0] = tokensChecksum(batch, index);
  words[1] = crc32(body);
  return new Uint8Array(words.buffer, words.byteOffset, recordBytes(layout));
}

export interface DecodedRecord {
  tokensChecksum: number;
  /** [length, topK] */
  values: Float32Array;
  ids: Uint16Array | Uint32Array;
  /** [length] */
  sums: Float32Array;
}

/** null when it is damaged. `record` begins at a multiple of 8 of its buffer. */
export function decodeRecord(layout: RecordLayout, record: Uint8Array): DecodedRecord | null {
  const { sums, values, ids, words, body } = viewsOf(layout, record);
  if (crc32(body) !== words[1]) return null;
  return { tokensChecksum: words[0]!, values, ids, sums };
}

function viewsOf(layout: RecordLayout, record: Uint8Array) {
  const { byteOffset, byteLength } = record;
  const buffer = record.buffer as ArrayBuffer;
  const { sequenceLength: length, topK } = layout;
  const Ids = hasShortIds(layout) ? Uint16Array : Uint32Array;
  const sumsAt = byteOffset + HEAD_BYTES;
  const valuesAt = sumsAt + 4 * length;
  return {
    words: new Uint32Array(buffer, byteOffset, 2),
    body: new Uint8Array(buffer, sumsAt, byteLength - HEAD_BYTES),
    sums: new Float32Array(buffer, sumsAt, length),
    values: new Float32Array(buffer, valuesAt, length * topK),
    ids: new Ids(buffer, valuesAt + 4 * length * topK, length * topK),
  };
}
