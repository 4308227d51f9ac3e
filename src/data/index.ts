// SPDX-License-Identifier: Apache-2.0
export { openBatchStream } from "./batch-stream.js";
export { isConversations, openChatDataset, type ChatDatasetOptions, type ChatDatasetSplits } from "./chat/open.js";
export { openGptDataset } from "./gpt/open.js";
export { IndexedDataset, IndexedDatasetWriter } from "./indexed-dataset/index.js";
export {
  tokenizeCorpus,
  type TokenizeOptions,
  type TokenizeProgress,
  type TokenizeReport,
} from "./tokenize/tokenize.js";
export { findInputs } from "./tokenize/inputs.js";
export { trainTokenizer, type TrainTokenizerOptions, type TrainTokenizerReport } from "./train-tokenizer/train.js";
export type {
  BatchStream,
  BatchStreamOptions,
  BatchStreamState,
  BlendEntry,
  DatasetProgress,
  DatasetSplits,
  DataTokenizer,
  GptDatasetOptions,
  SampleCounts,
  SplitName,
  TokenDataset,
  TrainSample,
} from "./types.js";
