// SPDX-License-Identifier: Apache-2.0
/**
 * What every data set shares: samples and batches are rows to be filled.
 */
import { EspalierError } from "../errors.js";
import type { TrainBatch } from "../train/native-trainer.js";
import type { SplitName, TokenDataset, TrainSample } from "./types.js";

/** A label that does not count. */
export const IGNORED = -100;

export abstract class RowDataset implements TokenDataset {
  readonly split: SplitName;
  readonly length: number;
  readonly sequenceLength: number;
  readonly #withStarts: boolean;

  constructor(split: SplitName, length: number, sequenceLength: number, withStarts: boolean) {
    this.split = split;
    this.length = length;
    this.sequenceLength = sequenceLength;
    this.#withStarts = withStarts;
  }

  /** Writes sample `index`, which is there, into a row. */
  abstract fill(index: number, row: TrainSample): Promise<void>;

  async sample(index: number): Promise<TrainSample> {
    const { tokens, labels, documentStarts } = await this.batch(index, 1);
    return documentStarts === undefined ? { tokens, labels } : { tokens, labels, documentStarts };
  }

  async batch(begin: number, count: number): Promise<TrainBatch> {
    const whole = Number.isInteger(begin) && Number.isInteger(count) && begin >= 0 && count >= 1;
    if (!whole || begin + count > this.length)
      throw new EspalierError(
        "ERR_ARGUMENT",
        `samples: expected ones below ${this.length} of the ${this.split} split, found ${begin} to ${begin + count}`,
      );
    const length = this.sequenceLength;
    const columns = (): Int32Array => new Int32Array(count * length);
    const batch: TrainBatch = { sequences: count, length, tokens: columns(), labels: columns() };
    if (this.#withStarts) batch.documentStarts = columns();
    const rowOf = (array: Int32Array, row: number): Int32Array => array.subarray(row * length, (row + 1) * length);
    const rows = Array.from({ length: count }, (_, row) => {
      const { tokens, labels, documentStarts: starts } = batch;
      const sample: TrainSample = { tokens: rowOf(tokens, row), labels: rowOf(labels, row) };
      if (starts !== undefined) sample.documentStarts = rowOf(starts, row);
      return this.fill(begin + row, sample);
    });
    await Promise.all(rows);
    return batch;
  }
}
