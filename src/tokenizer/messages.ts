// SPDX-License-Identifier: Apache-2.0
/**
 * What the tokenizer and its worker thread say to each other.
 */

import type { GgufEntry } from "../checkpoint/gguf-types.js";
import type { ToGgufOptions } from "./to-gguf.js";

/** Values of a GGUF file's metadata by key. Arrays may be typed arrays; integers may be bigint. */
export type GgufMetadata = ReadonlyMap<string, unknown> | Readonly<Record<string, unknown>>;

/** Where a tokenizer comes from. A string in place of an object is the path of the JSON file. */
export type TokenizerSource =
  | {
      tokenizerJson: object | string;
      tokenizerConfig?: object | string;
      /** Adds its `eos_token_id` to the ids that end a generation. */
      generationConfig?: object | string;
      /** Text of a Jinja template; comes before the one in `tokenizerConfig`. */
      chatTemplate?: string;
    }
  /** A Hugging Face model directory or an engine directory. */
  | { directory: string }
  | { gguf: GgufMetadata };

export interface ChatMessage {
  role: string;
  content?: unknown;
  [field: string]: unknown;
}

export interface ChatTemplateOptions {
  /** Ends the text with the header of the assistant's answer. Default: true. */
  addGenerationPrompt?: boolean;
  /** Tools in the form the template expects, usually JSON schemas. */
  tools?: readonly object[];
  documents?: readonly object[];
  /** Which of several templates; default: "tool_use" when tools are given and it exists, else "default". */
  templateName?: string;
  /** More variables of the template, as `enable_thinking`. */
  variables?: Readonly<Record<string, unknown>>;
}

export interface TokenizerInfo {
  /** Highest token id + 1. */
  vocabSize: number;
  bosTokenId: number | null;
  padTokenId: number | null;
  unkTokenId: number | null;
  eosTokenIds: number[];
  addsBos: boolean;
  chatTemplate: string | null;
}

/** Every operation of the worker: what goes in, what comes out. */
export interface Operations {
  load: { in: { source: TokenizerSource }; out: TokenizerInfo };
  /** Writes tokenizer files made from GGUF metadata; loads nothing. */
  write: { in: { gguf: GgufMetadata; directory: string }; out: void };
  /** The tokenizer.* keys of a GGUF file; loads nothing. */
  toGguf: { in: { source: TokenizerSource; options: ToGgufOptions }; out: GgufEntry[] };
  encode: { in: { texts: readonly string[]; addSpecialTokens: boolean }; out: Int32Array[] };
  decode: { in: { ids: Int32Array; skipSpecialTokens: boolean }; out: string };
  push: { in: { stream: number; ids: Int32Array; skipSpecialTokens: boolean }; out: string };
  flush: { in: { stream: number }; out: string };
  render: { in: { messages: readonly ChatMessage[]; options: ChatTemplateOptions }; out: string };
  encodeChat: { in: { messages: readonly ChatMessage[]; options: ChatTemplateOptions }; out: Int32Array };
  idToToken: { in: { id: number }; out: string | undefined };
  tokenToId: { in: { token: string }; out: number | undefined };
  /** Of a source; loads nothing. */
  fingerprint: { in: { source: TokenizerSource }; out: string };
}
