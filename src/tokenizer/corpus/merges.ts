// SPDX-License-Identifier: Apache-2.0
/**
 * The merges of a BPE, and their application to one word: always the pair of lowest rank, leftmost first.
 */

/** Words up to this length are searched from end to end for each merge; longer ones through a heap. */
const SHORT_WORD = 48;
const NO_RANK = 0x7fffffff;
const EMPTY = -1;
const POSITION_BITS = 2 ** 26;

/** Hash table of pairs, open addressing. */
export class MergeTable {
  readonly #mask: number;
  /** [slots * 2] left and right id, or EMPTY. */
  readonly #pairs: Int32Array;
  readonly #ranks: Int32Array;
  readonly #results: Int32Array;

  /** [left, right, result] in order of rank. A pair given twice keeps the later rank, as in the Rust tokenizers. */
  constructor(merges: readonly (readonly [number, number, number])[]) {
    const slots = 2 ** Math.ceil(Math.log2(Math.max(16, merges.length * 2)));
    this.#mask = slots - 1;
    this.#pairs = new Int32Array(slots * 2).fill(EMPTY);
    this.#ranks = new Int32Array(slots);
    this.#results = new Int32Array(slots);
    merges.forEach(([left, right, result], rank) => {
      const slot = this.#find(left, right);
      this.#pairs[2 * slot] = left;
      this.#pairs[2 * slot + 1] = right;
      this.#ranks[slot] = rank;
      this.#results[slot] = result;
    });
  }

  /** Merges `ids` in place; returns how many are left at the front. */
  apply(ids: Int32Array, length: number): number {
    return length <= SHORT_WORD ? this.#applyByScan(ids, length) : this.#applyByHeap(ids, length);
  }

  /** The slot of a pair, or the empty one where it would be. */
  #find(left: number, right: number): number {
    let slot = (Math.imul(left, 0x9e3779b1) ^ Math.imul(right, 0x85ebca6b)) >>> 0;
    slot ^= slot >>> 15;
    for (slot &= this.#mask; ; slot = (slot + 1) & this.#mask) {
      const found = this.#pairs[2 * slot]!;
      if (found === EMPTY || (found === left && this.#pairs[2 * slot + 1] === right)) return slot;
    }
  }

  #rank(left: number, right: number): number {
    const slot = this.#find(left, right);
    return this.#pairs[2 * slot] === EMPTY ? NO_RANK : this.#ranks[slot]!;
  }

  #result(left: number, right: number): number {
    return this.#results[this.#find(left, right)]!;
  }

  #applyByScan(ids: Int32Array, length: number): number {
    const ranks = this.#scratch;
    for (let i = 0; i + 1 < length; ++i) ranks[i] = this.#rank(ids[i]!, ids[i + 1]!);
    while (length > 1) {
      let best = 0;
      for (let i = 1; i + 1 < length; ++i) if (ranks[i]! < ranks[best]!) best = i;
      if (ranks[best] === NO_RANK) break;
      ids[best] = this.#result(ids[best]!, ids[best + 1]!);
      ids.copyWithin(best + 1, best + 2, length);
      ranks.copyWithin(best + 1, best + 2, length - 1);
      length -= 1;
      if (best > 0) ranks[best - 1] = this.#rank(ids[best - 1]!, ids[best]!);
      if (best + 1 < length) ranks[best] = this.#rank(ids[best]!, ids[best + 1]!);
    }
    return length;
  }
  readonly #scratch = new Int32Array(SHORT_WORD);

  #applyByHeap(ids: Int32Array, length: number): number {
    const next = Int32Array.from({ length }, (_, i) => (i + 1 < length ? i + 1 : EMPTY));
    const previous = Int32Array.from({ length }, (_, i) => i - 1);
    const heap = new NumberHeap();
    const offer = (i: number): void => {
      if (i === EMPTY || next[i] === EMPTY) return;
      const rank = this.#rank(ids[i]!, ids[next[i]!]!);
      if (rank !== NO_RANK) heap.push(rank * POSITION_BITS + i);
    };
    for (let i = 0; i < length; ++i) offer(i);
    for (let entry = heap.pop(); entry !== undefined; entry = heap.pop()) {
      const i = entry % POSITION_BITS;
      const right = next[i]!;
      // Stale entries name a place that was merged away or has another pair by now.
      if (ids[i] === EMPTY || right === EMPTY) continue;
      if (this.#rank(ids[i]!, ids[right]!) !== Math.floor(entry / POSITION_BITS)) continue;
      ids[i] = this.#result(ids[i]!, ids[right]!);
      ids[right] = EMPTY;
      next[i] = next[right]!;
      if (next[i] !== EMPTY) previous[next[i]!] = i;
      offer(previous[i]!);
      offer(i);
    }
    let kept = 0;
    for (let i = 0; i !== EMPTY; i = next[i]!) ids[kept++] = ids[i]!;
    return kept;
  }
}

/** [left, right, result] of a tokenizer.json's merges; null when one names a token that is not there. */
export function readMerges(merges: unknown, vocab: ReadonlyMap<string, number>): [number, number, number][] | null {
  const found: [number, number, number][] = [];
  for (const merge of merges as (string | [string, string])[]) {
    const at = typeof merge === "string" ? merge.indexOf(" ") : 0;
    const [left, right] = typeof merge === "string" ? [merge.slice(0, at), merge.slice(at + 1)] : merge;
    const ids = [vocab.get(left), vocab.get(right), vocab.get(left + right)];
    if (ids.includes(undefined)) return null;
    found.push(ids as [number, number, number]);
  }
  return found;
}

/** Smallest first. */
class NumberHeap {
  readonly #values: number[] = [];

  push(value: number): void {
    const values = this.#values;
    let at = values.push(value) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (values[parent]! <= value) break;
      values[at] = values[parent]!;
      at = parent;
    }
    values[at] = value;
  }

  pop(): number | undefined {
    const values = this.#values;
    const smallest = values[0];
    const last = values.pop();
    if (values.length === 0 || last === undefined) return smallest;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= values.length) break;
      if (child + 1 < values.length && values[child + 1]! < values[child]!) child += 1;
      if (values[child]! >= last) break;
      values[at] = values[child]!;
      at = child;
    }
    values[at] = last;
    return smallest;
  }
}
