// SPDX-License-Identifier: Apache-2.0
/**
 * numpy.random.RandomState's shuffle, bit for bit: MT19937 and masked rejection.
 */
import { EspalierError } from "../errors.js";
import { MersenneTwister } from "./mersenne-twister.js";

export const MAX_SEED = 2 ** 32 - 1;

/** @example new NumpyRandomState(1234).shuffle(Int32Array.from({ length: 10 }, (_, i) => i)) */
export class NumpyRandomState {
  readonly #twister: MersenneTwister;

  constructor(seed: number) {
    if (!(Number.isInteger(seed) && seed >= 0 && seed <= MAX_SEED))
      throw new EspalierError("ERR_ARGUMENT", `seed: expected a whole number from 0 to ${MAX_SEED}, found ${seed}`);
    this.#twister = MersenneTwister.fromSeed(seed);
  }

  /** In place, from the last element down. */
  shuffle(values: Int32Array | Uint32Array): void {
    for (let i = values.length - 1; i > 0; --i) {
      const j = this.#below(i);
      const value = values[i]!;
      values[i] = values[j]!;
      values[j] = value;
    }
  }

  /** Uniform in 0...max, which is less than 2^32. */
  #below(max: number): number {
    const mask = 0xffffffff >>> Math.clz32(max);
    for (;;) {
      const value = (this.#twister.next() & mask) >>> 0;
      if (value <= max) return value;
    }
  }
}
