// SPDX-License-Identifier: Apache-2.0

/** Integers that are appended to. */
export class GrowingArray {
  #values: Uint16Array | Int32Array;
  #length = 0;

  constructor(dtype: "uint16" | "int32") {
    this.#values = GrowingArray.#make(dtype === "uint16", 1 << 12);
  }

  static #make(short: boolean, length: number): Uint16Array | Int32Array {
    return short ? new Uint16Array(length) : new Int32Array(length);
  }

  append(values: ArrayLike<number>): void {
    const length = this.#length + values.length;
    if (length > this.#values.length) {
      const larger = GrowingArray.#make(this.#values instanceof Uint16Array, 2 * length);
      larger.set(this.#values.subarray(0, this.#length));
      this.#values = larger;
    }
    this.#values.set(values, this.#length);
    this.#length = length;
  }

  /** What was appended, in a buffer of its own. */
  take(): Uint16Array | Int32Array {
    return this.#values.slice(0, this.#length);
  }
}
