/**
 * The contract of the native trainer (native/train, native/napi/trainer.cpp). Types only; `binding.NativeTrainer` has them.
 */
import type { IsaName, MappedFile, TensorSource } from "../binding.js";

/** One tensor of the model: where its values come from, or none for values drawn from `initSeed`. */
export interface TrainerTensor {
  /** Hugging Face name: "model.layers.0.self_attn.q_proj.weight". */
  name: string;
  /** Of the families table: "q_proj", "norm", ... */
  role: string;
  part: "weight" | "bias";
  /** -1 outside the layers. */
  layer: number;
  file?: MappedFile;
  source?: TensorSource;
}

export interface TrainerModel {
  /** As `NativeEngineConfig.spec`. */
  spec: object;
  tensors: readonly TrainerTensor[];
}

/** One term of the loss; terms are summed with their weights. Logit terms are sums over tokens of a per-token value. */
export type LossTerm =
  | { kind: "cross_entropy"; weight: number }
  | {
      kind: "kl" | "reverse_kl" | "jsd" | "logits_mse" | "logits_cosine";
      weight: number;
      temperature: number;
      /** 0: the whole vocabulary; else the teacher's largest, softmaxed again over these. */
      topK: number;
      /** jsd only: weight of the teacher in the mixture, 0..1. */
      beta?: number;
    }
  /** kl over the teacher's topK (at least 1) and one more value for all the rest; of cached logits, temperature 1. */
  | { kind: "kl_tail"; weight: number; temperature: number; topK: number }
  /** kl with a teacher corrected by the labels, see kernels/logit_loss; `threshold`: 0 to below 1. */
  | { kind: "mft"; weight: number; temperature: number; topK: number; threshold: number }
  | {
      kind: "hidden_mse" | "hidden_cosine" | "hidden_squarehead";
      weight: number;
      /**
       * Block outputs compared, [student, teacher], 0-based; -1 is the output of the embedding. Summed over the pairs.
       * Where the hidden sizes differ, one learned projection brings all of the student's to the teacher's size: the
       * parameters "distillation.projection.weight" and ".bias", which are no part of the model.
       */
      layers: readonly (readonly [number, number])[];
      /**
       * weight is multiplied by (weighted distillation terms over logits, or cross-entropy without any) / (this term),
       * detached, in every micro batch (Minitron's alpha).
       */
      dynamicWeight: boolean;
    };

/** Each target has parameters beside its weight: "...q_proj.lora_A.weight" [rank, in], "...q_proj.lora_B.weight" [out, rank]. */
export interface LoraConfig {
  rank: number;
  alpha: number;
  /** Roles: "q_proj", "v_proj", ... All other weights are frozen. */
  targets: readonly string[];
}

export interface TrainerConfig {
  model: TrainerModel;
  /** Forward only, for distillation. */
  teacher?: TrainerModel;
  /** Instead of a teacher: batches bring so many of its largest logits a token. Terms have topK 1 to so many. */
  teacherTop?: number;
  losses: readonly LossTerm[];
  /** Largest micro batch: sequences x tokens. */
  maxSequences: number;
  sequenceLength: number;
  /** Keep only each block's input and compute the block again in the backward pass. */
  activationCheckpointing: boolean;
  activationDtype: "f32" | "bf16";
  beta1: number;
  beta2: number;
  epsilon: number;
  /** Names of parameters that stay as they are. */
  frozen: readonly string[];
  lora?: LoraConfig;
  /** Weights drawn for tensors without a file: normal(0, initStd), norms 1, biases 0. */
  initSeed: number;
  initStd: number;
  /** evaluate() only, in less memory: no gradients, moments or kept activations. Default false. */
  forwardOnly?: boolean;
  /** Gradients are summed over the ranks of `openCommunicator()`; every rank makes the same updates. Default false. */
  dataParallel?: boolean;
  /** 0 = default. */
  threads: number;
  isa: IsaName | "auto";
}

/** One micro batch, row-major [sequences, length]. */
export interface TrainBatch {
  sequences: number;
  length: number;
  tokens: Int32Array;
  /** The token to predict at each place, -100 where none counts. */
  labels: Int32Array;
  /** Place in the row where each token's document starts: attention and positions begin anew there. */
  documentStarts?: Int32Array;
  /** [sequences, length, teacherTop]: the teacher's largest logits after each token, best first, and their ids. */
  topIds?: Int32Array;
  topValues?: Float32Array;
  /** [sequences, length]: log of the sum of exp over all of its logits; for kl_tail. */
  topLogSumExp?: Float32Array;
  /** Layers [skipBegin, skipEnd) are left out; only where the trainer is forward only. Default: none. */
  skipBegin?: number;
  skipEnd?: number;
  /** The last batch before update(): data-parallel sums start while its backward pass still runs. Default false. */
  last?: boolean;
}

/** The largest logits after every token of a batch. */
export interface TopLogits {
  /** [sequences, length, top], best first. */
  ids: Int32Array;
  values: Float32Array;
  /** [sequences, length]: log of the sum of exp over the whole vocabulary. */
  logSumExp: Float32Array;
}

export interface BatchLosses {
  /** Labels that count. */
  tokens: number;
  /** Sums over those tokens, unweighted, by the term's kind; `total` is the weighted sum. */
  sums: Record<string, number>;
}

export type ParameterPart = "weight" | "gradient" | "moment1" | "moment2";

export interface TrainerParameter {
  name: string;
  shape: number[];
  trainable: boolean;
  /** Weight decay applies: matrices yes, norms and biases no. */
  decays: boolean;
}

export interface UpdateOptions {
  /** Unmasked tokens of the whole global batch, of all ranks: gradients are divided by it. */
  tokens: number;
  learningRate: number;
  /** Decoupled. */
  weightDecay: number;
  /** 0: none. */
  maxGradNorm: number;
}

export interface UpdateResult {
  /** Before clipping. */
  gradNorm: number;
  /** The gradient was not finite: nothing changed but the gradients, now zero. */
  skipped: boolean;
}

/** Owns weights, gradients, moments and its threads. One call at a time; each runs off the event loop. */
export interface NativeTrainer {
  readonly parameters: TrainerParameter[];
  /** Bytes of weights, gradients, moments, activations, teacher. */
  readonly memory: Record<string, number>;
  /** AdamW's t: updates applied so far. Settable on resume. */
  step: number;
  /** Forward and backward; adds to the gradients. */
  accumulate(batch: TrainBatch): Promise<BatchLosses>;
  /** Forward only. */
  evaluate(batch: TrainBatch): Promise<BatchLosses>;
  /** Forward only; ERR_NUMERIC for logits that are not finite. */
  topLogits(batch: TrainBatch, top: number): Promise<TopLogits>;
  /** Clips, applies AdamW, zeroes the gradients. */
  update(options: UpdateOptions): Promise<UpdateResult>;
  read(name: string, part: ParameterPart): Promise<Float32Array>;
  write(name: string, part: ParameterPart, values: Float32Array): Promise<void>;
  /** Bits, one per weight, row-major, lowest first: zeros are held at exactly zero, moments included. null: none. */
  setMask(name: string, bits: Uint8Array | null): void;
  /** With LoRA: the merged weight; otherwise as read(name, "weight"). */
  merged(name: string): Promise<Float32Array>;
  /** Waits for work in flight and frees; may be called twice. */
  close(): Promise<void>;
}

/** The processes of a data-parallel run started by mpirun or srun. All ranks make the same calls in the same order. */
export interface Communicator {
  readonly rank: number;
  readonly size: number;
  /** In place: the sum over all ranks. */
  sum(values: Float64Array): Promise<void>;
  /** In place: the bytes of rank 0. */
  broadcast(bytes: Uint8Array): Promise<void>;
  /** Waits for the others and leaves the run; nothing may follow. A rank that fails must not call it. */
  leave(): void;
}

export type NativeTrainerConstructor = new (config: TrainerConfig) => NativeTrainer;
