// SPDX-License-Identifier: Apache-2.0
/** What readers and writers of GGUF tokenizers both know. */

/** tokenizer.ggml.token_type */
export const tokenTypes = { normal: 1, unknown: 2, control: 3, userDefined: 4, unused: 5, byte: 6 } as const;

/** Ends of a turn that files name in no key of their own; llama.cpp knows them by their text too. */
export const END_OF_TURN: readonly string[] = ["<|eot_id|>", "<|im_end|>", "<|end|>", "<end_of_turn>", "<|eom_id|>"];

/** SentencePiece's mark of a space. */
export const SPACE = "\u2581";
