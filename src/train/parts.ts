// SPDX-License-Identifier: Apache-2.0
/**
 * What a run is put together from; tests give their own.
 */
import { dirname } from "node:path";
import { binding } from "../binding.js";
import type { Checkpoint } from "../checkpoint/index.js";
import { openGptDataset } from "../data/index.js";
import { tokenizerFingerprint } from "../tokenizer/index.js";
import type { ResolvedTrainOptions } from "./config.js";
import type { TrainingData } from "./loop.js";
import type { NativeTrainer, TrainerConfig } from "./native-trainer.js";
import { joinRanks, type Ranks } from "./ranks.js";

export interface DataHooks {
  signal?: AbortSignal;
  onProgress?: (progress: { kind: "indexing"; done: number; total: number }) => void;
}

export interface TrainParts {
  /** Default: this process alone. */
  joinRanks?: () => Ranks;
  createTrainer: (config: TrainerConfig) => NativeTrainer;
  openData: (options: ResolvedTrainOptions, model: Checkpoint, hooks: DataHooks) => Promise<TrainingData>;
}

export const defaultParts: TrainParts = {
  joinRanks,
  createTrainer: (config) => new binding.NativeTrainer(config),
  openData: async (options, model, { signal, onProgress }) => {
    const fingerprint = await fingerprintOfTokenizer(model);
    return openGptDataset({
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
      vocabSize: model.spec.vocabSize,
      ...(fingerprint === null ? {} : { tokenizerFingerprint: fingerprint }),
      ...(signal === undefined ? {} : { signal }),
      onProgress: ({ done, total }) => onProgress?.({ kind: "indexing", done, total }),
    });
  },
};

/** null when the model has no tokenizer. */
async function fingerprintOfTokenizer({ tokenizerFiles }: Checkpoint): Promise<string | null> {
  const { gguf, tokenizerJson } = tokenizerFiles;
  if (tokenizerJson !== undefined) return tokenizerFingerprint({ directory: dirname(tokenizerJson) });
  return gguf?.["tokenizer.ggml.model"] === undefined ? null : tokenizerFingerprint({ gguf });
}
