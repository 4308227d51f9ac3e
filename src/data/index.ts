// SPDX-License-Identifier: Apache-2.0
export type {
  BatchStream,
  BatchStreamOptions,
  BatchStreamState,
  BlendEntry,
  DatasetProgress,
  DatasetSplits,
  DataTokenizer,
  GptDatasetOptions,
  OpenBatchStream,
  OpenGptDataset,
  SampleCounts,
  SplitName,
  TokenDataset,
  TrainSample,
} from "./types.js";
