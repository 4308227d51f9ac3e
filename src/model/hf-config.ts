/**
 * config.json <-> ModelSpec, as transformers 4 writes it (rope_theta, rope_scaling, torch_dtype) and as 5 does
 * (rope_parameters, dtype). What is written back is the older form: both versions read it.
 */
import { z } from "zod";
import type { Family } from "../binding.js";
import { EspalierError } from "../errors.js";
import { families, familyOf, knownFamilies } from "./families.js";
import { parseFields, show } from "./parse-fields.js";
import { parseRope, ropeScalingOf } from "./rope.js";
import { checkSpec, type ModelSpec } from "./spec.js";

const whole = z.number().int().positive();
const tokenId = z.number().int().nonnegative();
const tokenIds = z.union([tokenId, z.array(tokenId)], { error: "expected a token id or an array of them" });

const namesSchema = z.looseObject({
  architectures: z.array(z.string()).nullish(),
  model_type: z.string().nullish(),
});

const configSchema = z.looseObject({
  vocab_size: whole,
  hidden_size: whole,
  intermediate_size: whole,
  num_hidden_layers: whole,
  num_attention_heads: whole,
  num_key_value_heads: whole.nullish(),
  head_dim: whole.nullish(),
  max_position_embeddings: whole.nullish(),
  rms_norm_eps: z.number().nullish(),
  hidden_act: z.string().nullish(),
  tie_word_embeddings: z.boolean().nullish(),
  attention_bias: z.boolean().nullish(),
  mlp_bias: z.boolean().nullish(),
  rope_theta: z.number().positive().nullish(),
  rope_scaling: z.record(z.string(), z.unknown()).nullish(),
  rope_parameters: z.record(z.string(), z.unknown()).nullish(),
  sliding_window: z.number().int().nullish(),
  use_sliding_window: z.boolean().nullish(),
  bos_token_id: tokenId.nullish(),
  eos_token_id: tokenIds.nullish(),
  pad_token_id: z.number().int().nullish(),
});

const generationSchema = z.looseObject({
  bos_token_id: tokenId.nullish(),
  eos_token_id: tokenIds.nullish(),
  pad_token_id: z.number().int().nullish(),
});

type Config = z.infer<typeof configSchema>;

/**
 * The spec of a parsed config.json. `generation` (generation_config.json) overrides the end-of-sequence ids, as it does
 * in transformers' generate.
 *
 * @example specFromConfig(JSON.parse(await readFile("model/config.json", "utf8")), "model/config.json")
 */
export function specFromConfig(raw: unknown, where: string, generation?: unknown): ModelSpec {
  const family = familyOfConfig(raw, where);
  const config = parseFields(configSchema, raw, { code: "ERR_MODEL_CONFIG", where });
  refuseUnsupported(config, family, where);
  const overrides =
    generation === undefined || generation === null
      ? {}
      : parseFields(generationSchema, generation, { code: "ERR_MODEL_CONFIG", where: "generation_config.json" });
  const heads = config.num_attention_heads;
  const headDim = config.head_dim ?? config.hidden_size / heads;
  const maxPositions = config.max_position_embeddings ?? family.defaultMaxPositions;
  const bias = config.attention_bias ?? false;
  // A field left out has transformers' default, 1 and 2 in every family; null means none.
  const bos = config.bos_token_id === undefined ? 1 : config.bos_token_id;
  const eos = overrides.eos_token_id ?? (config.eos_token_id === undefined ? 2 : (config.eos_token_id ?? []));
  const rope = parseRope(config.rope_parameters ?? config.rope_scaling, {
    where,
    headDim,
    maxPositions,
    theta: config.rope_theta ?? undefined,
  });
  const spec: ModelSpec = {
    family: family.id,
    vocabSize: config.vocab_size,
    hiddenSize: config.hidden_size,
    intermediateSize: config.intermediate_size,
    numLayers: config.num_hidden_layers,
    numHeads: heads,
    numKvHeads: config.num_key_value_heads ?? (family.defaultKvHeads === 0 ? heads : family.defaultKvHeads),
    headDim,
    maxPositions,
    normEps: config.rms_norm_eps ?? 1e-6,
    hiddenAct: "silu",
    tieWordEmbeddings: config.tie_word_embeddings ?? false,
    attentionBias: bias,
    attentionOutBias: bias,
    mlpBias: config.mlp_bias ?? false,
    rope,
    bosTokenId: overrides.bos_token_id ?? bos,
    eosTokenIds: Array.isArray(eos) ? eos : [eos],
    padTokenId: padOf(overrides.pad_token_id) ?? padOf(config.pad_token_id),
  };
  return checkSpec(spec, where);
}

/** A config.json that transformers 4 and 5 load; `dtype` is what the weights are written in. */
export function configFromSpec(spec: ModelSpec, dtype: "float32" | "float16" | "bfloat16"): Record<string, unknown> {
  const family = familyOf(spec.family);
  if (spec.attentionBias !== spec.attentionOutBias)
    throw new EspalierError(
      "ERR_MODEL_CONFIG",
      `attention_bias: config.json of ${spec.family} cannot say that only ${spec.attentionBias ? "q, k and v" : "the output"} has a bias`,
    );
  return {
    architectures: [family.architectures[0]],
    model_type: family.modelTypes[0],
    attention_bias: spec.attentionBias,
    attention_dropout: 0,
    bos_token_id: spec.bosTokenId,
    eos_token_id: spec.eosTokenIds.length > 1 ? spec.eosTokenIds : (spec.eosTokenIds[0] ?? null),
    head_dim: spec.headDim,
    hidden_act: spec.hiddenAct,
    hidden_size: spec.hiddenSize,
    initializer_range: 0.02,
    intermediate_size: spec.intermediateSize,
    max_position_embeddings: spec.maxPositions,
    mlp_bias: spec.mlpBias,
    num_attention_heads: spec.numHeads,
    num_hidden_layers: spec.numLayers,
    num_key_value_heads: spec.numKvHeads,
    pad_token_id: spec.padTokenId,
    rms_norm_eps: spec.normEps,
    rope_scaling: ropeScalingOf(spec.rope),
    rope_theta: spec.rope.theta,
    sliding_window: null,
    tie_word_embeddings: spec.tieWordEmbeddings,
    torch_dtype: dtype,
    use_cache: true,
    vocab_size: spec.vocabSize,
  };
}

function familyOfConfig(raw: unknown, where: string): Family {
  const names = parseFields(namesSchema, raw, { code: "ERR_MODEL_CONFIG", where });
  const architecture = names.architectures?.[0];
  const family = families().find((row) =>
    architecture !== undefined
      ? row.architectures.includes(architecture)
      : row.modelTypes.includes(names.model_type ?? ""),
  );
  if (family !== undefined) return family;
  const found = architecture !== undefined ? `architecture "${architecture}"` : `model_type ${show(names.model_type)}`;
  throw new EspalierError("ERR_MODEL_FAMILY", `${where}: ${found} is not known; ${knownFamilies()}`);
}

function refuseUnsupported(config: Config, family: Family, where: string): void {
  const refuse = (what: string): never => {
    throw new EspalierError("ERR_MODEL_CONFIG", `${where}: ${what}`);
  };
  if ((config.hidden_act ?? "silu") !== "silu") refuse(`hidden_act: expected "silu", found ${show(config.hidden_act)}`);
  const window = config.use_sliding_window === false ? null : (config.sliding_window ?? null);
  const length = config.max_position_embeddings ?? family.defaultMaxPositions;
  if (window !== null && window < length)
    refuse(`sliding_window: expected null or at least max_position_embeddings (${length}), found ${window}`);
  if ((config.head_dim ?? null) === null && config.hidden_size % config.num_attention_heads !== 0)
    refuse(
      `num_attention_heads ${config.num_attention_heads} does not divide hidden_size ${config.hidden_size}, and head_dim is not given`,
    );
}

/** Some files write -1 for "none". */
function padOf(id: number | null | undefined): number | null {
  return id === undefined || id === null || id < 0 ? null : id;
}
