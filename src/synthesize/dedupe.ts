// SPDX-License-Identifier: Apache-2.0
/**
 * Duplicates among texts: the same after normalisation, or near by MinHash (Broder 1997) of runs of five words, found
 * through bands of the signatures.
 */
import { createHash } from "node:crypto";

const WORDS = 5;
const PERMUTATIONS = 128;
/** 32 bands of 4 find similarities of 0.8 with probability 1 - 1e-7, of 0.5 with 0.87; the signature then decides. */
const BAND_ROWS = 4;

/** Letters, marks and digits; characters of scripts that write no spaces stand alone. */
const WORD = /\p{Script=Han}|\p{Script=Hiragana}|\p{Script=Katakana}|\p{Script=Thai}|[\p{L}\p{M}\p{N}]+/gu;

/** Lower case, compatibility forms alike, words alone. */
export function wordsOf(text: string): string[] {
  return text.normalize("NFKC").toLowerCase().match(WORD) ?? [];
}

export type Duplicate = "duplicate" | "nearDuplicate";

/** Texts that were kept. */
export class Deduplicator {
  readonly #maxSimilarity: number;
  readonly #exact = new Set<string>();
  readonly #signatures: Uint32Array[] = [];
  /** Of each band: texts by what their signature has there. */
  readonly #bands = Array.from({ length: PERMUTATIONS / BAND_ROWS }, () => new Map<string, number[]>());

  /** Estimated similarity from which on a text is a duplicate; 1: only the same text is. */
  constructor(maxSimilarity: number) {
    this.#maxSimilarity = maxSimilarity;
  }

  /** null: the text is new, and kept from now on. */
  add(text: string): Duplicate | null {
    const words = wordsOf(text);
    // texts of marks alone have no words: they are told apart as they stand
    const key = createHash("sha256")
      .update(words.length === 0 ? text : words.join(" "))
      .digest("base64");
    if (this.#exact.has(key)) return "duplicate";
    if (this.#maxSimilarity < 1) {
      const signature = signatureOf(words);
      const keys = this.#bands.map((_, band) => signature.subarray(band * BAND_ROWS, (band + 1) * BAND_ROWS).join());
      if (this.#isNear(signature, keys)) return "nearDuplicate";
      this.#keep(signature, keys);
    }
    this.#exact.add(key);
    return null;
  }

  #isNear(signature: Uint32Array, keys: readonly string[]): boolean {
    const seen = new Set<number>();
    for (const [band, key] of keys.entries())
      for (const other of this.#bands[band]!.get(key) ?? []) {
        if (seen.has(other)) continue;
        seen.add(other);
        if (similarityOf(signature, this.#signatures[other]!) >= this.#maxSimilarity) return true;
      }
    return false;
  }

  #keep(signature: Uint32Array, keys: readonly string[]): void {
    const index = this.#signatures.push(signature) - 1;
    for (const [band, key] of keys.entries()) {
      const bucket = this.#bands[band]!.get(key);
      if (bucket === undefined) this.#bands[band]!.set(key, [index]);
      else bucket.push(index);
    }
  }
}

/** Part of the permutations under which two texts have the same least run: an estimate of their Jaccard similarity. */
export function similarityOf(a: Uint32Array, b: Uint32Array): number {
  let same = 0;
  for (let i = 0; i < PERMUTATIONS; ++i) same += a[i] === b[i] ? 1 : 0;
  return same / PERMUTATIONS;
}

export function signatureOf(words: readonly string[]): Uint32Array {
  const signature = new Uint32Array(PERMUTATIONS).fill(0xffffffff);
  const runs = Math.max(1, words.length - WORDS + 1);
  for (let at = 0; at < runs; ++at) {
    const hash = hashOf(words.slice(at, at + WORDS).join(" "));
    for (let i = 0; i < PERMUTATIONS; ++i) {
      const value = mix(hash ^ Math.imul(i + 1, 0x9e3779b9));
      if (value < signature[i]!) signature[i] = value;
    }
  }
  return signature;
}

/** FNV-1a over UTF-16 units. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; ++i) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/** A bijection of 32-bit numbers that leaves no trace of their order (MurmurHash3's last step). */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
