// SPDX-License-Identifier: Apache-2.0
/**
 * Encodes whole corpora: gives the ids of the library, many times as fast. Words are looked up in a cache first; natural
 * text repeats them.
 */
import type { TokenizerJson } from "../adapt.js";
import { AddedTokenFinder } from "./added-tokens.js";
import { byteLevelWords } from "./byte-level.js";
import { sentencePieceWords } from "./sentencepiece.js";

/** How one kind of tokenizer sees text. Words together are the text, and no token spans two of them. */
export interface WordEncoder {
  split(text: string, visit: (word: string) => void): void;
  /** Ids of one word; valid until the next call. */
  encode(word: string): Int32Array;
}

const CACHE_WORDS = 1 << 18;
/** Longer words do not come again. */
const CACHED_WORD_LENGTH = 64;
const SLICE_LENGTH = 13;

export class CorpusEncoder {
  readonly #words: WordEncoder;
  readonly #addedTokens: AddedTokenFinder | null;
  readonly #cache = new Map<string, Int32Array>();
  #out = new Int32Array(1 << 16);
  #length = 0;

  private constructor(words: WordEncoder, addedTokens: AddedTokenFinder | null) {
    this.#words = words;
    this.#addedTokens = addedTokens;
  }

  /** Of an adapted tokenizer.json; null when some part of it is of another kind. */
  static from(json: TokenizerJson): CorpusEncoder | null {
    const { model, added_tokens: added } = json;
    if (model["type"] !== "BPE" && model["type"] !== undefined) return null;
    if ([model["dropout"], model["continuing_subword_prefix"], model["end_of_word_suffix"]].some(Boolean)) return null;
    if (added.some(({ lstrip, rstrip, single_word: single }) => lstrip || rstrip || single)) return null;
    const words = byteLevelWords(json) ?? sentencePieceWords(json);
    return words === null ? null : new CorpusEncoder(words, AddedTokenFinder.from(added));
  }

  /** `before` and `after` are what a post-processor adds. `text` must be well-formed. */
  encode(text: string, before: Int32Array, after: Int32Array): Int32Array {
    this.#length = 0;
    this.#appendAll(before);
    let begin = 0;
    for (const found of this.#addedTokens?.find(text) ?? []) {
      this.#encodePlain(text.slice(begin, found.index));
      this.#appendAll(found.ids);
      begin = found.index + found.length;
    }
    this.#encodePlain(begin === 0 ? text : text.slice(begin));
    this.#appendAll(after);
    return this.#out.slice(0, this.#length);
  }

  #encodePlain(text: string): void {
    if (text !== "") this.#words.split(text, this.#encodeWord);
  }

  readonly #encodeWord = (word: string): void => {
    const known = this.#cache.get(word);
    if (known !== undefined) return this.#appendAll(known);
    const ids = this.#words.encode(word);
    this.#appendAll(ids);
    if (word.length > CACHED_WORD_LENGTH) return;
    if (this.#cache.size >= CACHE_WORDS) this.#cache.clear();
    // V8 cuts long words from a text as slices that hold on to all of it; a copy does not.
    const key = word.length < SLICE_LENGTH ? word : Buffer.from(word, "utf16le").toString("utf16le");
    this.#cache.set(key, ids.slice());
  };

  #appendAll(ids: Int32Array): void {
    if (this.#length + ids.length > this.#out.length) {
      const larger = new Int32Array(2 * (this.#length + ids.length));
      larger.set(this.#out.subarray(0, this.#length));
      this.#out = larger;
    }
    for (let i = 0; i < ids.length; ++i) this.#out[this.#length++] = ids[i]!;
  }
}
