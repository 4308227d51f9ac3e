// SPDX-License-Identifier: Apache-2.0
/**
 * random.Random(seed).sample of Python, draw for draw.
 */
import { EspalierError } from "../errors.js";
import { MersenneTwister } from "./mersenne-twister.js";
import { MAX_SEED } from "./numpy-random.js";

/** @example new PythonRandom(1234).sample(10, 3) // three indices of 0..9 */
export class PythonRandom {
  readonly #twister: MersenneTwister;

  constructor(seed: number) {
    if (!(Number.isInteger(seed) && seed >= 0 && seed <= MAX_SEED))
      throw new EspalierError("ERR_ARGUMENT", `seed: expected a whole number from 0 to ${MAX_SEED}, found ${seed}`);
    this.#twister = MersenneTwister.fromWords([seed]);
  }

  /** `count` different indices of 0..size-1, in the order drawn. Python draws from a pool or remembers a set, by size. */
  sample(size: number, count: number): number[] {
    if (count > size) throw new EspalierError("ERR_ARGUMENT", `sample: expected at most ${size}, found ${count}`);
    let poolAtMost = 21;
    if (count > 5) poolAtMost += 4 ** Math.ceil(Math.log(count * 3) / Math.log(4));
    return size <= poolAtMost ? this.#fromPool(size, count) : this.#fromSet(size, count);
  }

  #fromPool(size: number, count: number): number[] {
    const pool = Array.from({ length: size }, (_, index) => index);
    return Array.from({ length: count }, (_, drawn) => {
      const at = this.#below(size - drawn);
      const value = pool[at]!;
      pool[at] = pool[size - drawn - 1]!;
      return value;
    });
  }

  #fromSet(size: number, count: number): number[] {
    const drawn = new Set<number>();
    while (drawn.size < count) drawn.add(this.#below(size));
    return [...drawn];
  }

  /** Uniform in 0..bound-1 by rejection of `bit_length` random bits; 1 <= bound < 2^32. */
  #below(bound: number): number {
    const shift = Math.clz32(bound);
    for (;;) {
      const value = this.#twister.next() >>> shift;
      if (value < bound) return value;
    }
  }
}
