// SPDX-License-Identifier: Apache-2.0
/**
 * Samples cut from documents that follow each other in shuffled order, and weighted blends of such data sets.
 */
import { EspalierError } from "../../errors.js";
import type { IndexedDataset } from "../indexed-dataset/index.js";
import { IGNORED, RowDataset } from "../row-dataset.js";
import type { SplitName, TrainSample } from "../types.js";
import type { BlendIndices, GptIndices } from "./indices.js";

export interface RowOptions {
  sequenceLength: number;
  resetAttention: boolean;
  maskEod: boolean;
  /** null: documents end where sequences of the data end. */
  eodTokenId: number | null;
  /** Of the model; Infinity: unknown. */
  vocabSize: number;
}

interface Piece {
  document: number;
  offset: number;
  length: number;
}

export class GptDataset extends RowDataset {
  readonly #data: IndexedDataset;
  readonly #indices: GptIndices;
  readonly #options: RowOptions;

  constructor(split: SplitName, data: IndexedDataset, indices: GptIndices, options: RowOptions) {
    super(split, indices.shuffleIndex.length, options.sequenceLength, options.resetAttention);
    this.#data = data;
    this.#indices = indices;
    this.#options = options;
  }

  async fill(index: number, row: TrainSample): Promise<void> {
    const text = new Int32Array(this.sequenceLength + 1);
    const pieces = this.#piecesOf(this.#indices.shuffleIndex[index]!);
    const found = pieces.reduce((sum, { length }) => sum + length, 0);
    if (found !== text.length)
      throw new EspalierError(
        "ERR_DATA_INDEX",
        `${this.#data.prefix}: sample ${index} of the cached indices has ${found} tokens, expected ${text.length}`,
      );
    let at = 0;
    const reads = pieces.map(({ document, offset, length }) => {
      const part = text.subarray(at, at + length);
      at += length;
      return this.#data.readInto(part, document, offset);
    });
    await Promise.all(reads);
    this.#checkIds(text);
    row.tokens.set(text.subarray(0, -1));
    row.labels.set(text.subarray(1));
    const { eodTokenId, maskEod } = this.#options;
    if (maskEod) for (let i = 0; i < row.tokens.length; ++i) if (row.tokens[i] === eodTokenId) row.labels[i] = IGNORED;
    if (row.documentStarts !== undefined) this.#markStarts(row.documentStarts, row.tokens, pieces);
  }

  #piecesOf(sample: number): Piece[] {
    const { documentIndex, sampleIndex } = this.#indices;
    const [first, offset, last, end] = sampleIndex.subarray(2 * sample, 2 * sample + 4) as unknown as number[];
    const pieces: Piece[] = [];
    for (let position = first!; position <= last!; ++position) {
      const document = documentIndex[position]!;
      const from = position === first ? offset! : 0;
      const to = position === last ? end! + 1 : this.#data.lengths[document]!;
      if (to > from) pieces.push({ document, offset: from, length: to - from });
    }
    return pieces;
  }

  #checkIds(text: Int32Array): void {
    for (const id of text) {
      if (id >= 0 && id < this.#options.vocabSize) continue;
      throw new EspalierError(
        "ERR_DATA_VOCABULARY",
        `${this.#data.prefix}: expected token ids below ${this.#options.vocabSize}, found ${id}`,
      );
    }
  }

  #markStarts(starts: Int32Array, tokens: Int32Array, pieces: readonly Piece[]): void {
    const { eodTokenId } = this.#options;
    const begins = new Set<number>();
    if (eodTokenId === null) {
      let at = 0;
      for (const { length } of pieces) begins.add((at += length));
    } else tokens.forEach((id, i) => id === eodTokenId && begins.add(i + 1));
    let start = 0;
    for (let i = 0; i < starts.length; ++i) {
      if (begins.has(i)) start = i;
      starts[i] = start;
    }
  }
}

export class BlendedDataset extends RowDataset {
  readonly #parts: readonly RowDataset[];
  readonly #indices: BlendIndices;

  constructor(split: SplitName, parts: readonly RowDataset[], indices: BlendIndices, options: RowOptions) {
    super(split, indices.datasetIndex.length, options.sequenceLength, options.resetAttention);
    this.#parts = parts;
    this.#indices = indices;
  }

  fill(index: number, row: TrainSample): Promise<void> {
    const part = this.#parts[this.#indices.datasetIndex[index]!]!;
    return part.fill(this.#indices.datasetSampleIndex[index]!, row);
  }
}
