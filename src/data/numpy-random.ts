// SPDX-License-Identifier: Apache-2.0
/**
 * numpy.random.RandomState's shuffle, bit for bit: MT19937 (Matsumoto and Nishimura, 1998) and masked rejection.
 */
import { EspalierError } from "../errors.js";

const STATE_WORDS = 624;
const PERIOD_OFFSET = 397;
const UPPER_BIT = 0x80000000;
const LOWER_BITS = 0x7fffffff;
const TWIST = 0x9908b0df;

export const MAX_SEED = 2 ** 32 - 1;

/** @example new NumpyRandomState(1234).shuffle(Int32Array.from({ length: 10 }, (_, i) => i)) */
export class NumpyRandomState {
  readonly #words = new Uint32Array(STATE_WORDS);
  #at = STATE_WORDS;

  constructor(seed: number) {
    if (!(Number.isInteger(seed) && seed >= 0 && seed <= MAX_SEED))
      throw new EspalierError("ERR_ARGUMENT", `seed: expected a whole number from 0 to ${MAX_SEED}, found ${seed}`);
    let word = seed;
    for (let i = 0; i < STATE_WORDS; ++i) {
      this.#words[i] = word;
      word = (Math.imul(1812433253, word ^ (word >>> 30)) + i + 1) >>> 0;
    }
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
      const value = (this.#next() & mask) >>> 0;
      if (value <= max) return value;
    }
  }

  #next(): number {
    if (this.#at === STATE_WORDS) this.#twist();
    let word = this.#words[this.#at++]!;
    word ^= word >>> 11;
    word ^= (word << 7) & 0x9d2c5680;
    word ^= (word << 15) & 0xefc60000;
    return (word ^ (word >>> 18)) >>> 0;
  }

  #twist(): void {
    const words = this.#words;
    for (let i = 0; i < STATE_WORDS; ++i) {
      const next = i + 1 === STATE_WORDS ? 0 : i + 1;
      const far = i + PERIOD_OFFSET < STATE_WORDS ? i + PERIOD_OFFSET : i + PERIOD_OFFSET - STATE_WORDS;
      const joined = (words[i]! & UPPER_BIT) | (words[next]! & LOWER_BITS);
      words[i] = words[far]! ^ (joined >>> 1) ^ (joined & 1 ? TWIST : 0);
    }
    this.#at = 0;
  }
}
