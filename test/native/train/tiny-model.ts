/**
 * Tiny models for tests of the trainer: specs, tensors drawn from a seed, batches.
 */
import { expectedTensors } from "../../../src/model/families.js";
import type { ModelSpec } from "../../../src/model/spec.js";
import type { TrainBatch, TrainerConfig, TrainerModel } from "../../../src/train/native-trainer.js";

export const tinySpec: ModelSpec = {
  family: "llama",
  vocabSize: 61,
  hiddenSize: 20,
  intermediateSize: 37,
  numLayers: 2,
  numHeads: 4,
  numKvHeads: 2,
  headDim: 10,
  maxPositions: 128,
  normEps: 1e-5,
  hiddenAct: "silu",
  tieWordEmbeddings: true,
  attentionBias: false,
  attentionOutBias: false,
  mlpBias: false,
  rope: { type: "default", theta: 10000, rotaryDim: 10, interleaved: false },
  bosTokenId: null,
  eosTokenIds: [],
  padTokenId: null,
};

/** A model whose weights are drawn. */
export function drawnModel(spec: ModelSpec): TrainerModel {
  const tensors = expectedTensors(spec).map(({ name, role, part, layer }) => ({
    name,
    role,
    part,
    layer: layer ?? -1,
  }));
  return { spec, tensors };
}

export function trainerConfig(model: TrainerModel, change: Partial<TrainerConfig> = {}): TrainerConfig {
  return {
    model,
    losses: [{ kind: "cross_entropy", weight: 1 }],
    maxSequences: 4,
    sequenceLength: 16,
    activationCheckpointing: false,
    activationDtype: "f32",
    beta1: 0.9,
    beta2: 0.95,
    epsilon: 1e-8,
    frozen: [],
    initSeed: 7,
    initStd: 0.02,
    threads: 2,
    isa: "auto",
    ...change,
  };
}

/** Rows of an arithmetic progression each, which a model learns quickly; labels are the next tokens. */
export function progressionBatch(sequences: number, length: number, vocab: number, seed = 0): TrainBatch {
  const tokens = new Int32Array(sequences * length);
  const labels = new Int32Array(sequences * length);
  for (let s = 0; s < sequences; ++s)
    for (let i = 0; i < length; ++i) {
      const at = (place: number): number => (seed + 5 * s + (1 + (s % 3)) * place) % vocab;
      tokens[s * length + i] = at(i);
      labels[s * length + i] = at(i + 1);
    }
  return { sequences, length, tokens, labels };
}
