// SPDX-License-Identifier: Apache-2.0
/**
 * What a run is put together from; tests give their own.
 */
import { dirname } from "node:path";
import { binding } from "../binding.js";
import type { Checkpoint } from "../checkpoint/index.js";
import { isConversations, openChatDataset, openGptDataset, type ChatDatasetSplits } from "../data/index.js";
import { EspalierError } from "../errors.js";
import type { ModelSpec } from "../model/spec.js";
import { tokenizerFingerprint, type TokenizerSource } from "../tokenizer/index.js";
import type { ResolvedTrainOptions } from "./config.js";
import type { TrainingData } from "./loop.js";
import type { NativeTrainer, TrainerConfig } from "./native-trainer.js";
import { joinRanks, type Ranks } from "./ranks.js";

export interface DataHooks {
  signal?: AbortSignal;
  onProgress?: (progress: DataProgress) => void;
}

export type DataProgress =
  | { kind: "indexing"; done: number; total: number }
  /** Conversations were read; some were left out or lost their ends. */
  | ({ kind: "conversations" } & LeftOut);

type LeftOut = Pick<ChatDatasetSplits, "badLines" | "badLineExamples" | "truncated" | "dropped">;

/** What data must fit. */
export type DataModel = Pick<Checkpoint, "tokenizerFiles"> & { readonly spec: Pick<ModelSpec, "vocabSize"> };

export interface TrainParts {
  /** Default: this process alone. */
  joinRanks?: () => Ranks;
  createTrainer: (config: TrainerConfig) => NativeTrainer;
  openData: (options: ResolvedTrainOptions, model: DataModel, hooks: DataHooks) => Promise<TrainingData>;
}

export const defaultParts: TrainParts = {
  joinRanks,
  createTrainer: (config) => new binding.NativeTrainer(config),
  openData: async (options, model, { signal, onProgress }) => {
    const tokenizer = tokenizerOf(model);
    const shared = {
      sequenceLength: options.seqLength,
      split: options.split,
      seed: options.seed,
      // Validation: one pass, of which the loop takes what it is told to.
      samples: {
        train: options.steps * options.globalBatch,
        validation: options.limitValBatches === 0 ? 0 : null,
        test: 0,
      },
      vocabSize: model.spec.vocabSize,
      ...(signal === undefined ? {} : { signal }),
      onProgress: ({ done, total }: { done: number; total: number }) => onProgress?.({ kind: "indexing", done, total }),
    };
    if (isConversations(options.data)) {
      if (tokenizer === null)
        throw new EspalierError(
          "ERR_TOKENIZER_MISSING",
          `${options.data}: conversations need a model with a tokenizer`,
        );
      const { maxBadLines } = options;
      const splits = await openChatDataset({ ...shared, inputs: [options.data], tokenizer, maxBadLines });
      const { badLines, badLineExamples, truncated, dropped } = splits;
      if (badLines + truncated + dropped > 0)
        onProgress?.({ kind: "conversations", badLines, badLineExamples, truncated, dropped });
      return splits;
    }
    return openGptDataset({
      ...shared,
      data: options.data,
      resetAttention: options.resetAttention,
      ...(tokenizer === null ? {} : { tokenizerFingerprint: await tokenizerFingerprint(tokenizer) }),
    });
  },
};

/** null when the model has no tokenizer. */
export function tokenizerOf({ tokenizerFiles }: Pick<Checkpoint, "tokenizerFiles">): TokenizerSource | null {
  const { gguf, tokenizerJson } = tokenizerFiles;
  if (tokenizerJson !== undefined) return { directory: dirname(tokenizerJson) };
  return gguf?.["tokenizer.ggml.model"] === undefined ? null : { gguf };
}
