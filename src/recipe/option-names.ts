// SPDX-License-Identifier: Apache-2.0
/**
 * Names of options in recipes: the API's, in snake or kebab case too, and those of NeMo and Model Optimizer
 * (megatron_gpt_prune.yaml, megatron_llama_distill.yaml, gpt_prune.py, prune_minitron.py).
 */

/** By verb: what others call it -> our name. */
const ALIASES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  train: {
    maxSteps: "steps",
    globalBatchSize: "globalBatch",
    gbs: "globalBatch",
    microBatchSize: "microBatch",
    mbs: "microBatch",
    encoderSeqLength: "seqLength",
    gradientClipVal: "clip",
    warmupSteps: "warmup",
    lrWarmupIters: "warmup",
  },
  importance: { numCalibSize: "samples", calibNumSamples: "samples", numTrainSamples: "samples" },
  prune: {
    ffnHiddenSize: "ffn",
    targetFfnHiddenSize: "ffn",
    hiddenSize: "hidden",
    targetHiddenSize: "hidden",
    numAttentionHeads: "heads",
    targetNumAttentionHeads: "heads",
    numQueryGroups: "kvHeads",
    targetNumQueryGroups: "kvHeads",
    numLayers: "layers",
    targetNumLayers: "layers",
    pruneTargetParams: "targetParams",
    pruneTargetMemoryMb: "targetMemory",
  },
};

const FAMILY: Readonly<Record<string, string>> = { distill: "train" };
/** Of distillation alone. */
const DISTILL: Readonly<Record<string, string>> = {
  logitKlTemperature: "temperature",
  logitKlTopk: "topK",
  studentModel: "student",
  teacherModel: "teacher",
};

/** Options whose numbers count something else by another name: Model Optimizer's megabytes are 2^20 bytes. */
const VALUES: Readonly<Record<string, (value: unknown) => unknown>> = {
  pruneTargetMemoryMb: (value) => (typeof value === "number" ? `${value}MiB` : value),
};

/** The value of an option under the API's name, from what it has under the recipe's. */
export function optionValue(name: string, value: unknown): unknown {
  return (VALUES[camelCase(name)] ?? ((same) => same))(value);
}

/** val_check_interval, val-check-interval -> valCheckInterval */
function camelCase(name: string): string {
  return name.replace(/[_-]+([a-zA-Z0-9])/g, (_, letter: string) => letter.toUpperCase());
}

/** The API's name of an option. */
export function optionName(verb: string, name: string): string {
  const camel = camelCase(name);
  const own = verb === "distill" ? DISTILL[camel] : undefined;
  return own ?? ALIASES[FAMILY[verb] ?? verb]?.[camel] ?? camel;
}
