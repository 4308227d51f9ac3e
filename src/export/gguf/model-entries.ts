// SPDX-License-Identifier: Apache-2.0
/** A model's spec as GGUF metadata: the inverse of src/model/gguf-metadata.ts. */
import type { GgufEntry } from "../../checkpoint/gguf-types.js";
import { EspalierError } from "../../errors.js";
import { families, familyOf } from "../../model/families.js";
import { llama3Factors } from "../../model/rope.js";
import type { ModelSpec, RopeSpec } from "../../model/spec.js";

/** The name and factors of the tensor that says what each rotary frequency is divided by. */
export const ROPE_FACTORS = "rope_freqs.weight";

export interface ModelFacts {
  /** general.name */
  name: string;
  /** general.file_type */
  fileType: number;
}

export function modelEntries(spec: ModelSpec, { name, fileType }: ModelFacts): GgufEntry[] {
  const architecture = architectureOf(spec);
  const key = (suffix: string): string => `${architecture}.${suffix}`;
  const u32 = (suffix: string, value: number): GgufEntry => ({ key: key(suffix), type: "u32", value });
  const f32 = (suffix: string, value: number): GgufEntry => ({ key: key(suffix), type: "f32", value });
  return [
    { key: "general.architecture", type: "string", value: architecture },
    { key: "general.type", type: "string", value: "model" },
    { key: "general.name", type: "string", value: name },
    { key: "general.file_type", type: "u32", value: fileType },
    { key: "general.quantization_version", type: "u32", value: 2 },
    u32("vocab_size", spec.vocabSize),
    u32("context_length", spec.maxPositions),
    u32("embedding_length", spec.hiddenSize),
    u32("block_count", spec.numLayers),
    u32("feed_forward_length", spec.intermediateSize),
    u32("attention.head_count", spec.numHeads),
    u32("attention.head_count_kv", spec.numKvHeads),
    // Pruned models have other head dimensions than hidden_size / heads, which readers would assume.
    u32("attention.key_length", spec.headDim),
    u32("attention.value_length", spec.headDim),
    f32("attention.layer_norm_rms_epsilon", spec.normEps),
    u32("rope.dimension_count", spec.rope.rotaryDim),
    f32("rope.freq_base", spec.rope.theta),
    ...scalingEntries(spec.rope, key),
  ];
}

/** What llama.cpp does not heed in these keys. */
export function modelWarnings({ rope }: ModelSpec): string[] {
  const { type, betaFast = 32, betaSlow = 1 } = rope;
  if (type !== "yarn" || (betaFast === 32 && betaSlow === 1)) return [];
  return [`yarn's beta_fast ${betaFast} and beta_slow ${betaSlow} are written, but llama.cpp takes 32 and 1`];
}

/** [rotaryDim / 2], or null when the file needs none. */
export function ropeFactors(rope: RopeSpec): Float32Array | null {
  return rope.type === "llama3" ? Float32Array.from(llama3Factors(rope)) : null;
}

/** A family that GGUF has no name for is written as the one whose tensors have the same names there. */
function architectureOf(spec: ModelSpec): string {
  const family = familyOf(spec.family);
  const names = (row: typeof family): string => row.tensors.map((tensor) => tensor.gguf).join();
  const named = family.ggufArchitecture === null ? families().find((row) => names(row) === names(family)) : family;
  if (named !== undefined && named.ggufArchitecture !== null) return named.ggufArchitecture;
  throw new EspalierError("ERR_MODEL_FAMILY", `a ${spec.family} model cannot be written as GGUF`);
}

function scalingEntries(rope: RopeSpec, key: (suffix: string) => string): GgufEntry[] {
  const f32 = (suffix: string, value: number): GgufEntry => ({
    key: key(`rope.scaling.${suffix}`),
    type: "f32",
    value,
  });
  const type: GgufEntry = { key: key("rope.scaling.type"), type: "string", value: rope.type };
  switch (rope.type) {
    case "default":
    case "llama3": // the factors say all
      return [];
    case "linear":
      return [type, f32("factor", rope.factor ?? 1)];
    case "yarn":
      return [type, ...yarnEntries(rope, key, f32)];
    case "dynamic":
      throw new EspalierError(
        "ERR_MODEL_ROPE",
        'rope_type "dynamic" cannot be written as GGUF, which has no such type',
      );
  }
}

function yarnEntries(
  rope: RopeSpec,
  key: (suffix: string) => string,
  f32: (suffix: string, value: number) => GgufEntry,
): GgufEntry[] {
  if (rope.truncate === false)
    throw new EspalierError("ERR_MODEL_ROPE", "yarn with truncate: false cannot be written as GGUF, which truncates");
  const factor = rope.factor ?? 1;
  const entries = [f32("factor", factor)];
  if (rope.originalMaxPositions !== undefined)
    entries.push({ key: key("rope.scaling.original_context_length"), type: "u32", value: rope.originalMaxPositions });
  if (rope.betaFast !== undefined) entries.push(f32("yarn_beta_fast", rope.betaFast));
  if (rope.betaSlow !== undefined) entries.push(f32("yarn_beta_slow", rope.betaSlow));
  // Readers multiply attn_factor by 0.1 ln(factor) + 1.
  const usual = 0.1 * Math.log(factor) + 1;
  const attention = attentionFactorOf(rope, factor) / usual;
  if (Math.abs(attention - 1) > 1e-9) entries.push(f32("attn_factor", attention));
  return entries;
}

/** What cos and sin are multiplied by (transformers' modeling_rope_utils). */
function attentionFactorOf({ attentionFactor, mscale, mscaleAllDim }: RopeSpec, factor: number): number {
  if (attentionFactor !== undefined) return attentionFactor;
  const scale = (multiplier: number): number => (factor <= 1 ? 1 : 0.1 * multiplier * Math.log(factor) + 1);
  return mscale && mscaleAllDim ? scale(mscale) / scale(mscaleAllDim) : scale(1);
}
