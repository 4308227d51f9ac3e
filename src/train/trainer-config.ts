// SPDX-License-Identifier: Apache-2.0
/**
 * The native trainer's configuration of a run.
 */
import type { ResolvedTrainOptions } from "./config.js";
import { frozenNames, trainerModel, type ModelSource } from "./model-source.js";
import type { LossTerm, TrainerConfig } from "./native-trainer.js";
import type { Ranks } from "./ranks.js";

export interface TrainerInputs {
  options: ResolvedTrainOptions;
  ranks: Ranks;
  source: ModelSource;
  teacher: ModelSource | null;
  losses: readonly LossTerm[];
}

export function trainerConfig({ options, ranks, source, teacher, losses }: TrainerInputs): TrainerConfig {
  const { loraRank, loraAlpha, loraTargets } = options;
  return {
    model: trainerModel(source.checkpoint),
    ...(teacher === null ? {} : { teacher: trainerModel(teacher.checkpoint) }),
    losses,
    maxSequences: options.microBatch,
    sequenceLength: options.seqLength,
    activationCheckpointing: options.checkpointActivations,
    activationDtype: options.activations,
    beta1: options.beta1,
    beta2: options.beta2,
    epsilon: options.epsilon,
    frozen: frozenNames(options.freeze, source.checkpoint),
    ...(loraRank === 0 ? {} : { lora: { rank: loraRank, alpha: loraAlpha, targets: loraTargets } }),
    dataParallel: ranks.size > 1,
    initSeed: options.seed,
    initStd: source.initStd,
    threads: options.threads ?? 0,
    isa: options.isa,
  };
}
