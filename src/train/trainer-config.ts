// SPDX-License-Identifier: Apache-2.0
/**
 * The native trainer's configuration of a run.
 */
import { EspalierError } from "../errors.js";
import { usableMemoryBytes } from "../memory.js";
import type { ResolvedTrainOptions } from "./config.js";
import { frozenNames, trainerModel, type ModelSource } from "./model-source.js";
import type { LossTerm, NativeTrainer, TrainerConfig } from "./native-trainer.js";
import type { Ranks } from "./ranks.js";

export interface TrainerInputs {
  options: ResolvedTrainOptions;
  ranks: Ranks;
  source: ModelSource;
  teacher: ModelSource | null;
  /** Logits of a cached teacher that batches bring for each token; 0: none. */
  teacherTop: number;
  losses: readonly LossTerm[];
}

export function trainerConfig({ options, ranks, source, teacher, teacherTop, losses }: TrainerInputs): TrainerConfig {
  const { loraRank, loraAlpha, loraTargets } = options;
  return {
    model: trainerModel(source.checkpoint),
    ...(teacher === null ? {} : { teacher: trainerModel(teacher.checkpoint) }),
    ...(teacherTop === 0 ? {} : { teacherTop }),
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

/** ERR_OUT_OF_MEMORY when the trainer would use more than this process may: Linux would kill it in the middle of a step. */
export function checkTrainerMemory(
  { memory }: Pick<NativeTrainer, "memory">,
  { microBatch, seqLength }: ResolvedTrainOptions,
): void {
  const needed = Object.values(memory).reduce((sum, bytes) => sum + bytes, 0);
  const usable = usableMemoryBytes();
  if (needed <= usable) return;
  const parts = Object.entries(memory).filter(([, bytes]) => bytes > 0);
  const gb = (bytes: number): string => `${(bytes / 1e9).toFixed(1)} GB`;
  throw new EspalierError(
    "ERR_OUT_OF_MEMORY",
    `train: microBatch ${microBatch} of seqLength ${seqLength}: expected at most ${gb(usable)} (the memory this process may ` +
      `use), found ${gb(needed)}: ${parts.map(([name, bytes]) => `${name} ${gb(bytes)}`).join(", ")}`,
  );
}
