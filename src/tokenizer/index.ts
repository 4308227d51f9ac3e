// SPDX-License-Identifier: Apache-2.0
export { tokenizerFilesFromGguf, type TokenizerFileContents } from "./from-gguf.js";
export {
  tokenizerFromCheckpoint,
  tokenizerFingerprint,
  tokenizerFromFiles,
  tokenizerToGguf,
  writeTokenizerFiles,
  type TokenizerFilesSource,
} from "./files.js";
export {
  loadTokenizer,
  type DecodeOptions,
  type DecodeStream,
  type EncodeOptions,
  type Tokenizer,
} from "./tokenizer.js";
export type { ChatMessage, ChatTemplateOptions, GgufMetadata, TokenizerSource } from "./messages.js";
