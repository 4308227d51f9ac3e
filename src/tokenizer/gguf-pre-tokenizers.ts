// SPDX-License-Identifier: Apache-2.0
/**
 * What a name in tokenizer.ggml.pre means in the words of tokenizer.json.
 */
import { GPT2_PATTERN } from "./adapt.js";

export interface GgufPreTokenizer {
  preTokenizer: object;
  normalizer: object | null;
  /** A word that is in the vocabulary whole is taken whole, whatever the merges say. */
  ignoreMerges: boolean;
  /** When tokenizer.ggml.add_bos_token is absent. */
  addsBos: boolean;
}

const LLAMA3_PATTERN = String.raw`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
const QWEN2_PATTERN = LLAMA3_PATTERN.replace(String.raw`\p{N}{1,3}`, String.raw`\p{N}`);
const UPPER = String.raw`\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}`;
const LOWER = String.raw`\p{Ll}\p{Lm}\p{Lo}\p{M}`;
const TEKKEN_PATTERN = String.raw`[^\r\n\p{L}\p{N}]?[${UPPER}]*[${LOWER}]+|[^\r\n\p{L}\p{N}]?[${UPPER}]+[${LOWER}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+`;

const byteLevel = (useRegex: boolean): object => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: false,
  use_regex: useRegex,
});

/** Each pattern cuts what the ones before it left. */
function patterns(...list: string[]): object {
  const splits = list.map((pattern) => ({
    type: "Split",
    pattern: { Regex: pattern },
    behavior: "Isolated",
    invert: false,
  }));
  return { type: "Sequence", pretokenizers: [...splits, byteLevel(false)] };
}

const digits = { type: "Digits", individual_digits: true };

const plain = { normalizer: null, ignoreMerges: false, addsBos: false };
const gpt2: GgufPreTokenizer = { ...plain, preTokenizer: byteLevel(true) };
const smollm: GgufPreTokenizer = {
  ...plain,
  preTokenizer: { type: "Sequence", pretokenizers: [digits, byteLevel(true)] },
};
const llama3: GgufPreTokenizer = {
  normalizer: null,
  preTokenizer: patterns(LLAMA3_PATTERN),
  ignoreMerges: true,
  addsBos: true,
};
/** The same words, but merges always decide. */
const dbrx: GgufPreTokenizer = { ...plain, preTokenizer: patterns(LLAMA3_PATTERN) };
const qwen2: GgufPreTokenizer = { ...plain, normalizer: { type: "NFC" }, preTokenizer: patterns(QWEN2_PATTERN) };
const tekken: GgufPreTokenizer = { ...llama3, preTokenizer: patterns(TEKKEN_PATTERN) };
/** llama.cpp's own default, for files from before the key existed. */
const none: GgufPreTokenizer = {
  ...plain,
  preTokenizer: patterns(String.raw`[\p{P}\$\+<=>\^~\|]+`, GPT2_PATTERN, String.raw`\p{N}+`, "[0-9][0-9][0-9]"),
};

export const ggufPreTokenizers: ReadonlyMap<string, GgufPreTokenizer> = new Map([
  ["default", none],
  ["gpt-2", gpt2],
  ["phi-2", gpt2],
  ["olmo", gpt2],
  ["smollm", smollm],
  ["starcoder", smollm],
  ["refact", smollm],
  ["command-r", smollm],
  ["codeshell", smollm],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["llama-bpe", llama3],
  ["falcon3", llama3],
  ["pixtral", llama3],
  ["dbrx", dbrx],
  ["smaug-bpe", dbrx],
  ["qwen2", qwen2],
  ["deepseek-r1-qwen", qwen2],
  ["tekken", tekken],
]);
