// SPDX-License-Identifier: Apache-2.0
/**
 * What the training loop sees of its data, whether it comes from packed documents or from conversations.
 */
import type { TrainBatch } from "../train/native-trainer.js";

export type SplitName = "train" | "validation" | "test";

/** One row of a batch. */
export interface TrainSample {
  /** [sequenceLength] */
  tokens: Int32Array;
  /** [sequenceLength] The token to predict at each place, -100 where none counts. */
  labels: Int32Array;
  /** [sequenceLength] Place where each token's document starts; only with `resetAttention`. */
  documentStarts?: Int32Array;
}

/** One split. Samples are in training order: shuffled already, and the same for the same options. */
export interface TokenDataset {
  readonly split: SplitName;
  /** Samples it holds. */
  readonly length: number;
  readonly sequenceLength: number;
  /** ERR_ARGUMENT when `index` is not a whole number below `length`. */
  sample(index: number): Promise<TrainSample>;
  /** Samples `begin` to `begin + count`, as one batch. */
  batch(begin: number, count: number): Promise<TrainBatch>;
}

export interface DatasetSplits extends AsyncDisposable {
  readonly train: TokenDataset;
  /** null when the split gives it no documents or no samples were asked for. */
  readonly validation: TokenDataset | null;
  readonly test: TokenDataset | null;
  /** Identifies the training samples and their order; resuming with another continues another run. */
  readonly fingerprint: string;
  /** Of the tokenizer that made the tokens, as far as the data says. */
  readonly tokenizer: DataTokenizer | null;
  /** Closes the files; may be called twice. */
  close(): Promise<void>;
}

/** What `tokenize` records of its tokenizer beside the tokens. */
export interface DataTokenizer {
  /** "sha256:..." over what decides the ids, see tokenizerFingerprint. */
  fingerprint: string;
  /** Highest id + 1. */
  vocabSize: number;
  /** End of document; null when there is none. */
  eodTokenId: number | null;
}

/**
 * How many samples the training run will take; null: one pass over the split, and of a blend until its first source has
 * been gone through (which is for validation and test: training on a blend needs a number).
 */
export interface SampleCounts {
  train: number | null;
  validation: number | null;
  test: number | null;
}

export interface DatasetProgress {
  stage: "indexing";
  done: number;
  total: number;
}

export interface GptDatasetOptions {
  /**
   * A prefix of .bin/.idx, a directory that `tokenize` wrote, or a weighted blend of these as Megatron takes it:
   * "0.7 a_text_document 0.3 b_text_document".
   */
  data: string | readonly BlendEntry[];
  sequenceLength: number;
  /** Parts of the documents for train, validation and test. Default: "99,1,0". */
  split?: string;
  /** Default: 1234, as Megatron. */
  seed?: number;
  /** Default: one pass each. */
  samples?: Partial<SampleCounts>;
  /** Give `documentStarts`. Needs an end-of-document id. Default: false. */
  resetAttention?: boolean;
  /** What follows an end of document is no label: nobody need guess the next document. Default: false. */
  maskEod?: boolean;
  /** Default: what the data says. */
  eodTokenId?: number;
  /** Of the model: data with larger ids is ERR_DATA_VOCABULARY. */
  vocabSize?: number;
  /** Of the model's tokenizer: data of another is ERR_DATA_TOKENIZER. */
  tokenizerFingerprint?: string;
  /** Where the shuffled indices are kept; null: nowhere. Default: `cache` beside the data, where it can be written. */
  cacheDirectory?: string | null;
  signal?: AbortSignal;
  onProgress?: (progress: DatasetProgress) => void;
}

export interface BlendEntry {
  prefix: string;
  /** Relative to the others; need not sum to 1. */
  weight: number;
}

/** Batches in order, read ahead of the trainer. */
export interface BatchStream {
  /** The next batch of exactly `sequences` rows. ERR_DATA_EXHAUSTED after the last whole one. */
  next(): Promise<TrainBatch>;
  /** What a checkpoint keeps; a stream opened with it gives what this one would have given next. */
  state(): BatchStreamState;
  close(): Promise<void>;
}

export interface BatchStreamState {
  /** Samples given out so far. */
  consumedSamples: number;
}

export interface BatchStreamOptions {
  /** Rows of a batch. */
  sequences: number;
  state?: BatchStreamState;
  /** Batches read ahead. Default: 2. */
  prefetch?: number;
}
