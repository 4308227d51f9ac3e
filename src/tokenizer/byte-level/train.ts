// SPDX-License-Identifier: Apache-2.0
/**
 * Trains a byte-level BPE (Sennrich, Haddow and Birch, 2016): merges the most frequent pair of tokens again and again.
 * Of equally frequent pairs the one with the smallest ids goes first, as in the Rust tokenizers, whose merges these are.
 */
import { byteCharacters } from "./alphabet.js";

export interface BpeTraining {
  /** Words of the corpus and how often each occurs. */
  words: ReadonlyMap<string, number>;
  /** Special tokens and bytes included. */
  vocabSize: number;
  /** They get the first ids. */
  specialTokens: readonly string[];
  /** Pairs seen less often are left alone. */
  minFrequency: number;
  onMerge?: (tokens: number) => void;
}

export interface TrainedBpe {
  /** By id, in byte characters. */
  tokens: string[];
  merges: [string, string][];
  /** Tokens of the whole corpus under these merges. */
  corpusTokens: number;
}

/** A pair to merge in some words. One pair may have several: each knows the words it came up in. */
interface Candidate {
  left: number;
  right: number;
  count: number;
  words: number[];
}

/** Ids stay below it, so that a pair is one exact number. */
const MAX_IDS = 2 ** 24;

/** Reports to `onMerge` come this far apart. */
const MERGES_PER_REPORT = 64;

export function trainBpe({ words, vocabSize, specialTokens, minFrequency, onMerge }: BpeTraining): TrainedBpe {
  const alphabet = [...byteCharacters].sort();
  const tokens = [...specialTokens, ...alphabet];
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const corpus = new Corpus(words, ids);
  const counts = new Map<number, number>();
  const heap = new CandidateHeap();
  pushAll(heap, corpus.countPairs(counts), counts);
  // A pair that comes up a second time takes the later rank.
  const ranks = new Map<number, number>();
  for (let rank = 0; tokens.length < vocabSize;) {
    const top = heap.pop();
    if (top === undefined) break;
    const pair = pairKey(top.left, top.right);
    const count = counts.get(pair)!;
    if (top.count !== count) {
      heap.push({ ...top, count });
      continue;
    }
    if (count < Math.max(1, minFrequency)) break;
    const token = tokens[top.left]! + tokens[top.right]!;
    // Another pair may have made the same token before.
    const id = ids.get(token) ?? tokens.push(token) - 1;
    ids.set(token, id);
    ranks.set(pair, rank++);
    pushAll(heap, corpus.merge(top, id, counts), counts);
    if (tokens.length % MERGES_PER_REPORT === 0) onMerge?.(tokens.length);
  }
  const merges = [...ranks].sort(([, a], [, b]) => a - b).map(([pair]) => namesOf(pair, tokens));
  return { tokens, merges, corpusTokens: corpus.tokens() };
}

function pairKey(left: number, right: number): number {
  return left * MAX_IDS + right;
}

function namesOf(pair: number, tokens: readonly string[]): [string, string] {
  return [tokens[Math.floor(pair / MAX_IDS)]!, tokens[pair % MAX_IDS]!];
}

/** Where pairs came up: pair -> words. */
type PairPlaces = Map<number, number[]>;

function pushAll(heap: CandidateHeap, places: PairPlaces, counts: ReadonlyMap<number, number>): void {
  for (const [pair, words] of places) {
    const count = counts.get(pair)!;
    if (count > 0) heap.push({ left: Math.floor(pair / MAX_IDS), right: pair % MAX_IDS, count, words });
  }
}

/** Unique words as rows of token ids, shortened in place. */
class Corpus {
  /** Rows back to back. */
  readonly #ids: Int32Array;
  readonly #starts: Int32Array;
  readonly #lengths: Int32Array;
  readonly #frequencies: Float64Array;

  constructor(words: ReadonlyMap<string, number>, ids: ReadonlyMap<string, number>) {
    const idOfByte = byteCharacters.map((character) => ids.get(character)!);
    const rows = [...words.keys()].map((word) => Buffer.from(word, "utf8"));
    this.#ids = new Int32Array(rows.reduce((sum, row) => sum + row.length, 0));
    this.#starts = new Int32Array(rows.length);
    this.#lengths = Int32Array.from(rows, (row) => row.length);
    this.#frequencies = Float64Array.from(words.values());
    let at = 0;
    rows.forEach((row, word) => {
      this.#starts[word] = at;
      for (const byte of row) this.#ids[at++] = idOfByte[byte]!;
    });
  }

  countPairs(counts: Map<number, number>): PairPlaces {
    const places: PairPlaces = new Map();
    for (let word = 0; word < this.#starts.length; ++word) {
      const start = this.#starts[word]!;
      const end = start + this.#lengths[word]!;
      for (let i = start; i + 1 < end; ++i) {
        const pair = pairKey(this.#ids[i]!, this.#ids[i + 1]!);
        counts.set(pair, (counts.get(pair) ?? 0) + this.#frequencies[word]!);
        addPlace(places, pair, word);
      }
    }
    return places;
  }

  /** Puts `id` for the pair in the candidate's words; changes `counts`; returns where new pairs came up. */
  merge({ left, right, words }: Candidate, id: number, counts: Map<number, number>): PairPlaces {
    const places: PairPlaces = new Map();
    const ids = this.#ids;
    for (const word of words) {
      const start = this.#starts[word]!;
      const frequency = this.#frequencies[word]!;
      let end = start + this.#lengths[word]!;
      const change = (first: number, second: number, sign: 1 | -1): void => {
        const pair = pairKey(first, second);
        counts.set(pair, (counts.get(pair) ?? 0) + sign * frequency);
        if (sign > 0) addPlace(places, pair, word);
      };
      for (let i = start; i + 1 < end; ++i) {
        if (ids[i] !== left || ids[i + 1] !== right) continue;
        ids[i] = id;
        ids.copyWithin(i + 1, i + 2, end);
        end -= 1;
        if (i > start) {
          change(ids[i - 1]!, left, -1);
          change(ids[i - 1]!, id, 1);
        }
        if (i + 1 < end) {
          change(right, ids[i + 1]!, -1);
          change(id, ids[i + 1]!, 1);
        }
      }
      this.#lengths[word] = end - start;
    }
    return places;
  }

  tokens(): number {
    return this.#lengths.reduce((sum, length, word) => sum + length * this.#frequencies[word]!, 0);
  }
}

/** A word's places come one after the other. */
function addPlace(places: PairPlaces, pair: number, word: number): void {
  const words = places.get(pair);
  if (words === undefined) places.set(pair, [word]);
  else if (words.at(-1) !== word) words.push(word);
}

/** The most frequent first; then the smallest ids. */
class CandidateHeap {
  readonly #items: Candidate[] = [];

  push(item: Candidate): void {
    const items = this.#items;
    let at = items.push(item) - 1;
    while (at > 0) {
      const parent = (at - 1) >> 1;
      if (!goesBefore(item, items[parent]!)) break;
      items[at] = items[parent]!;
      at = parent;
    }
    items[at] = item;
  }

  pop(): Candidate | undefined {
    const items = this.#items;
    const first = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return first;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= items.length) break;
      if (child + 1 < items.length && goesBefore(items[child + 1]!, items[child]!)) child += 1;
      if (!goesBefore(items[child]!, last)) break;
      items[at] = items[child]!;
      at = child;
    }
    items[at] = last;
    return first;
  }
}

function goesBefore(a: Candidate, b: Candidate): boolean {
  if (a.count !== b.count) return a.count > b.count;
  return a.left !== b.left ? a.left < b.left : a.right < b.right;
}
