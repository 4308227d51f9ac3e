// SPDX-License-Identifier: Apache-2.0
/**
 * What a run is put together from; tests give their own.
 */
import { binding } from "../binding.js";
import type { Checkpoint } from "../checkpoint/index.js";
import { openGptDataset } from "../data/index.js";
import type { ResolvedTrainOptions } from "./config.js";
import type { TrainingData } from "./loop.js";
import type { NativeTrainer, TrainerConfig } from "./native-trainer.js";

export interface DataHooks {
  signal?: AbortSignal;
  onProgress?: (progress: { kind: "indexing"; done: number; total: number }) => void;
}

export interface TrainParts {
  createTrainer: (config: TrainerConfig) => NativeTrainer;
  openData: (options: ResolvedTrainOptions, model: Checkpoint, hooks: DataHooks) => Promise<TrainingData>;
}

export const defaultParts: TrainParts = {
  createTrainer: (config) => new binding.NativeTrainer(config),
  openData: (options, { spec }, { signal, onProgress }) =>
    openGptDataset({
      data: options.data,
      sequenceLength: options.seqLength,
      split: options.split,
      seed: options.seed,
      // Validation: one pass, of which the loop takes what it is told to.
      samples: {
        train: options.steps * options.globalBatch,
        validation: options.limitValBatches === 0 ? 0 : null,
        test: 0,
      },
      resetAttention: options.resetAttention,
      vocabSize: spec.vocabSize,
      ...(signal === undefined ? {} : { signal }),
      onProgress: ({ done, total }) => onProgress?.({ kind: "indexing", done, total }),
    }),
};
