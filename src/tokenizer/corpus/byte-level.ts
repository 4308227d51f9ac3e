// SPDX-License-Identifier: Apache-2.0
/**
 * Byte-level BPE (GPT-2, Llama 3, SmolLM2): words by a pattern, each merged from its UTF-8 bytes.
 */
import { isRecord } from "../../json.js";
import type { TokenizerJson } from "../adapt.js";
import { byteCharacters } from "../byte-level/alphabet.js";
import type { WordEncoder } from "./encoder.js";
import { MergeTable, readMerges } from "./merges.js";
import { splitterOf } from "./splitter.js";

/** null for another kind of tokenizer. */
export function byteLevelWords(json: TokenizerJson): WordEncoder | null {
  const { model } = json;
  if (json["normalizer"] != null || model["byte_fallback"] === true || !isRecord(model["vocab"])) return null;
  const split = splitterOf(json["pre_tokenizer"]);
  if (split === null) return null;
  const vocab = new Map(Object.entries(model["vocab"] as Record<string, number>));
  const bytes = byteCharacters.map((character) => vocab.get(character));
  const merges = readMerges(model["merges"], vocab);
  if (bytes.includes(undefined) || merges === null) return null;
  const encoder = new ByteEncoder(Int32Array.from(bytes as number[]), new MergeTable(merges));
  const wholeWords = model["ignore_merges"] === true ? vocab : null;
  return { split, encode: (word) => encoder.encode(word, wholeWords) };
}

class ByteEncoder {
  /** [256] */
  readonly #byteIds: Int32Array;
  readonly #merges: MergeTable;
  #utf8 = Buffer.alloc(256);
  #ids = new Int32Array(256);

  constructor(byteIds: Int32Array, merges: MergeTable) {
    this.#byteIds = byteIds;
    this.#merges = merges;
  }

  /** `wholeWords`: words that are tokens whatever the merges say. */
  encode(word: string, wholeWords: ReadonlyMap<string, number> | null): Int32Array {
    const capacity = word.length * 3;
    if (capacity > this.#utf8.length) {
      this.#utf8 = Buffer.alloc(capacity * 2);
      this.#ids = new Int32Array(capacity * 2);
    }
    const length = this.#utf8.write(word, "utf8");
    const bytes = this.#utf8.subarray(0, length);
    const whole = wholeWords?.get(Array.from(bytes, (byte) => byteCharacters[byte]).join(""));
    if (whole !== undefined) return Int32Array.of(whole);
    for (let i = 0; i < length; ++i) this.#ids[i] = this.#byteIds[bytes[i]!]!;
    return this.#ids.subarray(0, this.#merges.apply(this.#ids, length));
  }
}
