// SPDX-License-Identifier: Apache-2.0
/**
 * Batches in order, read ahead of the trainer.
 */
import { EspalierError } from "../errors.js";
import type { TrainBatch } from "../train/native-trainer.js";
import type { BatchStream, BatchStreamOptions, BatchStreamState, TokenDataset } from "./types.js";

const DEFAULT_PREFETCH = 2;

/** @example const batches = openBatchStream(splits.train, { sequences: 8, state: { consumedSamples: 0 } }) */
export function openBatchStream(dataset: TokenDataset, options: BatchStreamOptions): BatchStream {
  const { sequences, state = { consumedSamples: 0 }, prefetch = DEFAULT_PREFETCH } = options;
  const { consumedSamples } = state;
  if (!(Number.isInteger(sequences) && sequences >= 1))
    throw new EspalierError("ERR_ARGUMENT", `sequences: expected a whole number, at least 1, found ${sequences}`);
  if (!(Number.isInteger(consumedSamples) && consumedSamples >= 0))
    throw new EspalierError("ERR_ARGUMENT", `state.consumedSamples: expected a whole number, found ${consumedSamples}`);
  return new PrefetchedStream(dataset, sequences, consumedSamples, Math.max(0, prefetch));
}

class PrefetchedStream implements BatchStream {
  readonly #dataset: TokenDataset;
  readonly #sequences: number;
  readonly #prefetch: number;
  readonly #ahead: Promise<TrainBatch>[] = [];
  #consumed: number;
  #requested: number;
  #closed = false;

  constructor(dataset: TokenDataset, sequences: number, consumed: number, prefetch: number) {
    this.#dataset = dataset;
    this.#sequences = sequences;
    this.#prefetch = prefetch;
    this.#consumed = consumed;
    this.#requested = consumed;
    this.#request(prefetch);
  }

  async next(): Promise<TrainBatch> {
    if (this.#closed) throw new EspalierError("ERR_DISPOSED", "the stream of batches was closed");
    this.#request(this.#prefetch + 1);
    const batch = this.#ahead.shift();
    if (batch === undefined)
      throw new EspalierError(
        "ERR_DATA_EXHAUSTED",
        `the ${this.#dataset.split} split has ${this.#dataset.length} samples; ${this.#consumed} were taken and ` +
          `${this.#sequences} more were asked for`,
      );
    this.#consumed += this.#sequences;
    return batch;
  }

  state(): BatchStreamState {
    return { consumedSamples: this.#consumed };
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.allSettled(this.#ahead.splice(0));
  }

  #request(depth: number): void {
    while (this.#ahead.length < depth && this.#requested + this.#sequences <= this.#dataset.length) {
      const batch = this.#dataset.batch(this.#requested, this.#sequences);
      batch.catch(() => {}); // told to whoever takes it
      this.#ahead.push(batch);
      this.#requested += this.#sequences;
    }
  }
}
