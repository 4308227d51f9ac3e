/**
 * GGUF metadata -> ModelSpec. Keys are `<architecture>.<name>`; float32 values are given back as the decimal that was
 * meant (1e-5, not 9.999999747378752e-6), which rounds to the same float32.
 */
import type { Family } from "../binding.js";
import { EspalierError } from "../errors.js";
import { families, knownFamilies } from "./families.js";
import { show } from "./parse-fields.js";
import { ropeFromFactors } from "./rope.js";
import { checkSpec, type ModelSpec, type RopeSpec } from "./spec.js";

export type Metadata = ReadonlyMap<string, unknown>;

export interface GgufTensorNames {
  /** Whether the file has a tensor of that (GGUF) name. */
  has(name: string): boolean;
  /** Rows of the tensor, for files that do not say their vocabulary. */
  rows(name: string): number | undefined;
  /** rope_freqs.weight, when there is one. */
  ropeFactors: ArrayLike<number> | undefined;
}

/** Reads keys of one architecture, with coded errors. */
class Keys {
  constructor(
    readonly metadata: Metadata,
    readonly prefix: string,
    readonly where: string,
  ) {}

  error(key: string, expected: string): EspalierError {
    return new EspalierError(
      "ERR_GGUF_METADATA",
      `${this.where}: ${key}: expected ${expected}, found ${show(this.metadata.get(key))}`,
    );
  }

  optional(name: string): number | undefined {
    const key = this.prefix + name;
    const value = this.metadata.get(key);
    if (value === undefined) return undefined;
    if (typeof value !== "number" || !Number.isFinite(value)) throw this.error(key, "a number");
    return decimalOf(value);
  }

  required(name: string): number {
    const value = this.optional(name);
    if (value === undefined) throw this.error(this.prefix + name, "a number");
    return value;
  }

  /** Per-layer arrays occur in models whose layers differ; those are refused. */
  perLayer(name: string): number | undefined {
    const key = this.prefix + name;
    const value = this.metadata.get(key);
    if (!Array.isArray(value)) return this.optional(name);
    if (value.length === 0 || value.some((other) => other !== value[0]) || typeof value[0] !== "number")
      throw this.error(key, "the same number in every layer");
    return value[0];
  }
}

/** The shortest decimal that rounds to the same float32; integers and float64 values stay as they are. */
export function decimalOf(value: number): number {
  if (Number.isInteger(value) || Math.fround(value) !== value) return value;
  for (let digits = 1; digits <= 9; ++digits) {
    const short = Number(value.toPrecision(digits));
    if (Math.fround(short) === value) return short;
  }
  return value;
}

/** The spec of a GGUF file. */
export function specFromGguf(metadata: Metadata, tensors: GgufTensorNames, where: string): ModelSpec {
  const family = familyOfGguf(metadata, where);
  const keys = new Keys(metadata, `${family.ggufArchitecture ?? ""}.`, where);
  refuseUnsupported(keys);
  const heads = keys.perLayer("attention.head_count") ?? keys.required("attention.head_count");
  const hidden = keys.required("embedding_length");
  const headDim = keys.optional("attention.key_length") ?? hidden / heads;
  if ((keys.optional("attention.value_length") ?? headDim) !== headDim)
    throw keys.error(`${keys.prefix}attention.value_length`, `the head dimension ${headDim}`);
  const rotaryDim = keys.optional("rope.dimension_count") ?? headDim;
  const maxPositions = keys.required("context_length");
  const has = (role: string, part: string): boolean =>
    family.tensors.some(
      (row) => row.role === role && row.part === part && tensors.has(row.gguf.replace("{layer}", "0")),
    );
  const rope = ropeOf(keys, tensors, rotaryDim, maxPositions);
  const id = (name: string): number | null => new Keys(metadata, "tokenizer.ggml.", where).optional(name) ?? null;
  const spec: ModelSpec = {
    family: family.id,
    vocabSize: keys.optional("vocab_size") ?? vocabularyOf(metadata, family, tensors, keys),
    hiddenSize: hidden,
    intermediateSize: keys.perLayer("feed_forward_length") ?? keys.required("feed_forward_length"),
    numLayers: keys.required("block_count"),
    numHeads: heads,
    numKvHeads: keys.perLayer("attention.head_count_kv") ?? heads,
    headDim,
    maxPositions,
    normEps: keys.required("attention.layer_norm_rms_epsilon"),
    hiddenAct: "silu",
    tieWordEmbeddings: !has("lm_head", "weight"),
    attentionBias: has("q_proj", "bias"),
    attentionOutBias: has("o_proj", "bias"),
    mlpBias: has("up_proj", "bias"),
    rope,
    bosTokenId: id("bos_token_id"),
    eosTokenIds: eosOf(id("eos_token_id"), id("eot_token_id")),
    padTokenId: id("padding_token_id"),
  };
  return checkSpec(spec, where);
}

/** llama.cpp stops at end-of-turn as well as at end-of-sequence. */
function eosOf(...ids: (number | null)[]): number[] {
  return [...new Set(ids.filter((id) => id !== null))];
}

function familyOfGguf(metadata: Metadata, where: string): Family {
  const architecture = metadata.get("general.architecture");
  const family = families().find((row) => row.ggufArchitecture !== null && row.ggufArchitecture === architecture);
  if (family !== undefined) return family;
  throw new EspalierError(
    "ERR_MODEL_FAMILY",
    `${where}: general.architecture ${show(architecture)} is not known; ${knownFamilies()}`,
  );
}

function refuseUnsupported(keys: Keys): void {
  if ((keys.optional("expert_count") ?? 0) > 0)
    throw new EspalierError("ERR_MODEL_FAMILY", `${keys.where}: mixtures of experts are not known; ${knownFamilies()}`);
  const window = keys.optional("attention.sliding_window") ?? 0;
  if (window > 0 && window < keys.required("context_length"))
    throw keys.error(`${keys.prefix}attention.sliding_window`, "none, or at least context_length");
}

function vocabularyOf(metadata: Metadata, family: Family, tensors: GgufTensorNames, keys: Keys): number {
  const tokens = metadata.get("tokenizer.ggml.tokens");
  const name = family.tensors.find((row) => row.role === "embed_tokens")?.gguf ?? "";
  const size = tensors.rows(name) ?? (Array.isArray(tokens) ? tokens.length : undefined);
  if (size === undefined) throw keys.error(`${keys.prefix}vocab_size`, "a number");
  return size;
}

function ropeOf(keys: Keys, tensors: GgufTensorNames, rotaryDim: number, maxPositions: number): RopeSpec {
  const theta = keys.optional("rope.freq_base") ?? 10000;
  const base = { theta, rotaryDim, interleaved: false } as const;
  const bad = (what: string): EspalierError => new EspalierError("ERR_MODEL_ROPE", `${keys.where}: ${what}`);
  if (!(theta > 0)) throw bad(`${keys.prefix}rope.freq_base: expected a number above 0, found ${theta}`);
  const type = keys.metadata.get(`${keys.prefix}rope.scaling.type`) ?? "none";
  const linear = keys.optional("rope.scale_linear"); // files of 2023
  const factor = keys.optional("rope.scaling.factor") ?? linear ?? 1;
  if (!(factor > 0)) throw bad(`${keys.prefix}rope.scaling.factor: expected a number above 0, found ${factor}`);
  if (tensors.ropeFactors !== undefined) {
    if (type !== "none") throw bad(`rope_freqs.weight together with rope.scaling.type "${String(type)}" is not known`);
    if (tensors.ropeFactors.length * 2 !== rotaryDim)
      throw bad(`rope_freqs.weight: expected ${rotaryDim / 2} factors, found ${tensors.ropeFactors.length}`);
    return ropeFromFactors(tensors.ropeFactors, theta, keys.where);
  }
  if (type === "linear" || (type === "none" && linear !== undefined))
    return factor === 1 ? { type: "default", ...base } : { type: "linear", factor, ...base };
  if (type === "none") return { type: "default", ...base };
  if (type === "yarn") return { ...yarnOf(keys, factor, maxPositions, bad), ...base };
  throw bad(`${keys.prefix}rope.scaling.type ${show(type)} is not known; known are none, linear, yarn`);
}

function yarnOf(
  keys: Keys,
  factor: number,
  maxPositions: number,
  bad: (what: string) => EspalierError,
): Omit<RopeSpec, "theta" | "rotaryDim" | "interleaved"> {
  if ((keys.optional("rope.scaling.yarn_log_multiplier") ?? 0) !== 0)
    throw bad(`${keys.prefix}rope.scaling.yarn_log_multiplier is not known`);
  const attention = keys.optional("rope.scaling.attn_factor") ?? 1;
  const optional = {
    betaFast: keys.optional("rope.scaling.yarn_beta_fast"),
    betaSlow: keys.optional("rope.scaling.yarn_beta_slow"),
    // ggml multiplies its own default by this one; transformers' replaces the default.
    attentionFactor: attention === 1 ? undefined : decimalOf(Math.fround(attention * (0.1 * Math.log(factor) + 1))),
  };
  return {
    type: "yarn",
    factor,
    originalMaxPositions: keys.optional("rope.scaling.original_context_length") ?? maxPositions,
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined)),
  };
}
