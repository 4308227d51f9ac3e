// SPDX-License-Identifier: Apache-2.0
/**
 * Byte-level BPE for whole corpora: gives the ids of the library, several times as fast. Words are looked up in a cache
 * first; natural text repeats them.
 */
import { isRecord } from "../../json.js";
import type { TokenizerJson } from "../adapt.js";
import { byteCharacters } from "./alphabet.js";
import { MergeTable } from "./merges.js";
import { splitterOf, type Splitter } from "./splitter.js";

const CACHE_WORDS = 1 << 18;
/** Longer words do not come again. */
const CACHED_WORD_LENGTH = 64;
const SLICE_LENGTH = 13;

interface Parts {
  /** [256] */
  byteIds: Int32Array;
  merges: MergeTable;
  split: Splitter;
  /** Words that are tokens whatever the merges say; null: none are. */
  wholeWords: ReadonlyMap<string, number> | null;
  addedTokens: AddedTokenFinder | null;
}

export class ByteLevelEncoder {
  readonly #parts: Parts;
  readonly #cache = new Map<string, Int32Array>();
  #out = new Int32Array(1 << 16);
  #length = 0;
  #word = new Int32Array(256);
  #utf8 = Buffer.alloc(256);

  private constructor(parts: Parts) {
    this.#parts = parts;
  }

  /** Of an adapted tokenizer.json; null when some part of it is of another kind. */
  static from(json: TokenizerJson): ByteLevelEncoder | null {
    const { model } = json;
    if (model["type"] !== "BPE" && model["type"] !== undefined) return null;
    if (json["normalizer"] != null || model["byte_fallback"] === true) return null;
    if ([model["dropout"], model["continuing_subword_prefix"], model["end_of_word_suffix"]].some(Boolean)) return null;
    const split = splitterOf(json["pre_tokenizer"]);
    if (split === null || !isRecord(model["vocab"])) return null;
    const vocab = new Map(Object.entries(model["vocab"] as Record<string, number>));
    const bytes = byteCharacters.map((character) => vocab.get(character));
    const merges = readMerges(model["merges"], vocab);
    if (bytes.includes(undefined) || merges === null) return null;
    if (json.added_tokens.some(({ lstrip, rstrip, single_word: single }) => lstrip || rstrip || single)) return null;
    return new ByteLevelEncoder({
      byteIds: Int32Array.from(bytes as number[]),
      merges: new MergeTable(merges),
      split,
      wholeWords: model["ignore_merges"] === true ? vocab : null,
      addedTokens: AddedTokenFinder.from(json.added_tokens),
    });
  }

  /** `before` and `after` are what a post-processor adds. `text` must be well-formed. */
  encode(text: string, before: Int32Array, after: Int32Array): Int32Array {
    this.#length = 0;
    this.#appendAll(before);
    const { addedTokens } = this.#parts;
    let begin = 0;
    for (const found of addedTokens?.find(text) ?? []) {
      this.#encodePlain(text.slice(begin, found.index));
      this.#append(found.id);
      begin = found.index + found.length;
    }
    this.#encodePlain(begin === 0 ? text : text.slice(begin));
    this.#appendAll(after);
    return this.#out.slice(0, this.#length);
  }

  #encodePlain(text: string): void {
    if (text !== "") this.#parts.split(text, this.#encodeWord);
  }

  readonly #encodeWord = (word: string): void => {
    const known = this.#cache.get(word);
    if (known !== undefined) return this.#appendAll(known);
    const ids = this.#merge(word);
    this.#appendAll(ids);
    if (word.length > CACHED_WORD_LENGTH) return;
    if (this.#cache.size >= CACHE_WORDS) this.#cache.clear();
    // V8 cuts long words from a text as slices that hold on to all of it; a copy does not.
    const key = word.length < SLICE_LENGTH ? word : Buffer.from(word, "utf16le").toString("utf16le");
    this.#cache.set(key, ids.slice());
  };

  /** Valid until the next call. */
  #merge(word: string): Int32Array {
    const { byteIds, merges, wholeWords } = this.#parts;
    const capacity = word.length * 3;
    if (capacity > this.#utf8.length) {
      this.#utf8 = Buffer.alloc(capacity * 2);
      this.#word = new Int32Array(capacity * 2);
    }
    const length = this.#utf8.write(word, "utf8");
    if (wholeWords !== null) {
      const whole = wholeWords.get(Array.from(this.#utf8.subarray(0, length), (byte) => byteCharacters[byte]).join(""));
      if (whole !== undefined) return Int32Array.of(whole);
    }
    for (let i = 0; i < length; ++i) this.#word[i] = byteIds[this.#utf8[i]!]!;
    return this.#word.subarray(0, merges.apply(this.#word, length));
  }

  #append(id: number): void {
    if (this.#length === this.#out.length) this.#grow(1);
    this.#out[this.#length++] = id;
  }

  #appendAll(ids: Int32Array): void {
    if (this.#length + ids.length > this.#out.length) this.#grow(ids.length);
    for (let i = 0; i < ids.length; ++i) this.#out[this.#length++] = ids[i]!;
  }

  #grow(more: number): void {
    const larger = new Int32Array(2 * (this.#length + more));
    larger.set(this.#out.subarray(0, this.#length));
    this.#out = larger;
  }
}

/** [left, right, result]; null when a merge names a token that is not there. */
function readMerges(merges: unknown, vocab: ReadonlyMap<string, number>): [number, number, number][] | null {
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

interface FoundToken {
  index: number;
  length: number;
  id: number;
}

/** Finds added tokens written out in a text: leftmost, then longest. */
class AddedTokenFinder {
  readonly #ids: ReadonlyMap<string, number>;
  readonly #pattern: RegExp;
  /** Beginning that all of them share. */
  readonly #prefix: string;

  private constructor(ids: ReadonlyMap<string, number>) {
    this.#ids = ids;
    const tokens = [...ids.keys()].sort((a, b) => b.length - a.length);
    this.#pattern = new RegExp(tokens.map((token) => token.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&")).join("|"), "gu");
    this.#prefix = tokens.reduce(commonPrefix);
  }

  static from(tokens: readonly { id: number; content: string }[]): AddedTokenFinder | null {
    return tokens.length === 0 ? null : new AddedTokenFinder(new Map(tokens.map(({ id, content }) => [content, id])));
  }

  *find(text: string): Generator<FoundToken> {
    if (!text.includes(this.#prefix)) return;
    for (const { 0: token, index } of text.matchAll(this.#pattern))
      yield { index, length: token.length, id: this.#ids.get(token)! };
  }
}

function commonPrefix(a: string, b: string): string {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length += 1;
  return a.slice(0, length);
}
