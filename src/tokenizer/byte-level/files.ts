// SPDX-License-Identifier: Apache-2.0
/**
 * tokenizer.json and tokenizer_config.json of a trained byte-level BPE, as the Rust tokenizers and transformers read
 * them.
 */
import type { TrainedBpe } from "./train.js";

/** transformers' "no limit". */
const NO_LIMIT = 1e30;

const byteLevel = (addPrefixSpace: boolean): object => ({
  type: "ByteLevel",
  add_prefix_space: addPrefixSpace,
  trim_offsets: true,
  use_regex: true,
});

/** `specialTokens` have the first ids; the first of them begins and ends texts. */
export function byteLevelFiles(
  { tokens, merges }: TrainedBpe,
  specialTokens: readonly string[],
): { tokenizerJson: object; tokenizerConfig: object } {
  const added = specialTokens.map((content, id) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  }));
  const tokenizerJson = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: added,
    normalizer: null,
    pre_tokenizer: byteLevel(false),
    post_processor: null,
    decoder: byteLevel(true),
    model: {
      type: "BPE",
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: Object.fromEntries(tokens.map((token, id) => [token, id])),
      merges,
    },
  };
  const [first] = specialTokens;
  const tokenizerConfig = {
    tokenizer_class: "PreTrainedTokenizerFast",
    model_max_length: NO_LIMIT,
    clean_up_tokenization_spaces: false,
    ...(first === undefined ? {} : { bos_token: first, eos_token: first }),
    ...(specialTokens.length > 1 ? { additional_special_tokens: specialTokens.slice(1) } : {}),
  };
  return { tokenizerJson, tokenizerConfig };
}
