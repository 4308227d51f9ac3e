/**
 * The contract of the native calibrator (native/calibrate, native/napi/calibrator.cpp). Types only.
 */
import type { TrainerModel } from "../train/native-trainer.js";

/** Where activations are seen. All but the block's ends are inputs of linear layers. */
export type Tap = "block_input" | "attention_input" | "attention_output" | "mlp_input" | "mlp_product" | "block_output";

/**
 * moments: [with and without the first position][mean of |x|, L2 norm, variance over a sequence's positions][sum, sum of
 * squares over sequences][width]. cosine (block_output only): between the block's input and output, mean over a sequence's
 * positions, summed over sequences, [with and without the first position]. gram: sum of x xᵀ over tokens, [width, width].
 * range: smallest and largest [2, width], then how many |x| lie in [2^(i - 41), 2^(i - 40)), [64].
 */
export type StatisticKind = "moments" | "cosine" | "gram" | "range";

export interface TapRequest {
  tap: Tap;
  statistic: StatisticKind;
}

export interface CalibratorConfig {
  model: TrainerModel;
  /** Samples, and tokens of each. */
  sequences: number;
  length: number;
  /** Samples worked on at once. */
  maxBatch: number;
  taps: readonly TapRequest[];
  /** A file for the hidden states; absent or "": memory. */
  statesPath?: string;
  /** 0: the default. */
  threads: number;
  isa: string;
}

/** Calls are worked off in order on a thread of its own. */
export interface NativeCalibrator {
  /** tokens [count, length]: samples from `first` on become their embeddings. */
  embed(first: number, tokens: Int32Array): Promise<void>;
  /** Reads a block's weights; statistics begin anew, or are left out. */
  beginBlock(layer: number): Promise<void>;
  /** Samples through the block that was begun; each once. */
  run(first: number, count: number): Promise<void>;
  /** One array a request, of the block so far. */
  statistics(): Promise<Float64Array[]>;
  /** The hidden states as raw float32. */
  saveStates(path: string): Promise<void>;
  loadStates(path: string): Promise<void>;
  /** After the calls made so far. */
  close(): Promise<void>;
}
