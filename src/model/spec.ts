/**
 * ModelSpec: what a model is, in plain JSON, whatever file it came from. Engines, exporters and reports read only this.
 */
import { EspalierError } from "../errors.js";

export type RopeType = "default" | "linear" | "dynamic" | "llama3" | "yarn";

export const ropeTypes: readonly RopeType[] = ["default", "linear", "dynamic", "llama3", "yarn"];

/** Rotary position embedding; the optional fields belong to the types that name them in transformers. */
export interface RopeSpec {
  type: RopeType;
  theta: number;
  /** linear, dynamic, llama3, yarn */
  factor?: number;
  /** llama3, yarn; dynamic when the file has it */
  originalMaxPositions?: number;
  /** llama3 */
  lowFreqFactor?: number;
  /** llama3 */
  highFreqFactor?: number;
  /** yarn: multiplies cos and sin; absent means 0.1 ln(factor) + 1, or by mscale and mscaleAllDim */
  attentionFactor?: number;
  /** yarn */
  betaFast?: number;
  /** yarn */
  betaSlow?: number;
  /** yarn */
  mscale?: number;
  /** yarn */
  mscaleAllDim?: number;
  /** yarn: round the correction range to whole dimensions (the default) */
  truncate?: boolean;
  /** Dimensions of each head that are rotated. */
  rotaryDim: number;
  /** Pairs (i, i + half), not (2i, 2i + 1). */
  interleaved: false;
}

export interface ModelSpec {
  /** A row of the native family table: "llama". */
  family: string;
  vocabSize: number;
  hiddenSize: number;
  intermediateSize: number;
  numLayers: number;
  numHeads: number;
  numKvHeads: number;
  headDim: number;
  maxPositions: number;
  normEps: number;
  hiddenAct: "silu";
  tieWordEmbeddings: boolean;
  /** q_proj, k_proj, v_proj */
  attentionBias: boolean;
  /** o_proj */
  attentionOutBias: boolean;
  mlpBias: boolean;
  rope: RopeSpec;
  bosTokenId: number | null;
  eosTokenIds: number[];
  padTokenId: number | null;
}

/** Largest value of each size; beyond these a file lies or is not a language model. */
export const sizeLimits = {
  vocabSize: 1 << 24,
  hiddenSize: 1 << 20,
  intermediateSize: 1 << 22,
  numLayers: 4096,
  numHeads: 1 << 14,
  numKvHeads: 1 << 14,
  headDim: 1 << 14,
  maxPositions: 1 << 28,
} as const;

function configError(where: string, what: string): EspalierError {
  return new EspalierError("ERR_MODEL_CONFIG", `${where}: ${what}`);
}

/** Checks what single fields cannot show; `where` is the file for the message. */
export function checkSpec(spec: ModelSpec, where: string): ModelSpec {
  for (const [field, limit] of Object.entries(sizeLimits)) {
    const value = spec[field as keyof typeof sizeLimits];
    if (!Number.isInteger(value) || value < 1 || value > limit)
      throw configError(where, `${field}: expected a whole number from 1 to ${limit}, found ${value}`);
  }
  if (spec.numHeads % spec.numKvHeads !== 0)
    throw configError(where, `${spec.numHeads} attention heads cannot share ${spec.numKvHeads} key-value heads`);
  if (spec.rope.rotaryDim !== spec.headDim)
    throw configError(where, `rotary dimension ${spec.rope.rotaryDim}: expected the head dimension ${spec.headDim}`);
  if (spec.headDim % 2 !== 0)
    throw configError(where, `head dimension ${spec.headDim}: rotary embedding needs an even one`);
  if (!(spec.normEps > 0) || spec.normEps > 1)
    throw configError(where, `rms_norm_eps: expected a number above 0 and up to 1, found ${spec.normEps}`);
  const ids = { bos_token_id: [spec.bosTokenId], eos_token_id: spec.eosTokenIds, pad_token_id: [spec.padTokenId] };
  for (const [field, values] of Object.entries(ids))
    for (const id of values)
      if (id !== null && (!Number.isInteger(id) || id < 0 || id >= 1 << 30))
        throw configError(where, `${field}: expected a token id, found ${id}`);
  return spec;
}
