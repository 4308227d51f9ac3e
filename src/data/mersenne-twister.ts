// SPDX-License-Identifier: Apache-2.0
/**
 * MT19937 (Matsumoto and Nishimura, 1998), the generator behind numpy's RandomState and Python's random.
 */
const STATE_WORDS = 624;
const PERIOD_OFFSET = 397;
const UPPER_BIT = 0x80000000;
const LOWER_BITS = 0x7fffffff;
const TWIST = 0x9908b0df;

export class MersenneTwister {
  readonly #words = new Uint32Array(STATE_WORDS);
  #at = STATE_WORDS;

  /** init_genrand: what numpy does with a seed. `seed` < 2^32. */
  static fromSeed(seed: number): MersenneTwister {
    const twister = new MersenneTwister();
    let word = seed;
    for (let i = 0; i < STATE_WORDS; ++i) {
      twister.#words[i] = word;
      word = (Math.imul(1812433253, word ^ (word >>> 30)) + i + 1) >>> 0;
    }
    return twister;
  }

  /** init_by_array: what Python does with the 32-bit words of a seed, lowest first. */
  static fromWords(key: readonly number[]): MersenneTwister {
    const twister = MersenneTwister.fromSeed(19650218);
    const words = twister.#words;
    let i = 1;
    const mixed = (factor: number): number => {
      const before = words[i - 1]!;
      return (words[i]! ^ Math.imul(before ^ (before >>> 30), factor)) >>> 0;
    };
    const advance = (): void => {
      if (++i < STATE_WORDS) return;
      words[0] = words[STATE_WORDS - 1]!;
      i = 1;
    };
    for (let count = Math.max(STATE_WORDS, key.length), j = 0; count > 0; --count) {
      words[i] = mixed(1664525) + key[j]! + j;
      advance();
      j = j + 1 === key.length ? 0 : j + 1;
    }
    for (let count = STATE_WORDS - 1; count > 0; --count) {
      words[i] = mixed(1566083941) - i;
      advance();
    }
    words[0] = UPPER_BIT;
    return twister;
  }

  /** The next 32 bits. */
  next(): number {
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
