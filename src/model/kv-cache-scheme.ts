// SPDX-License-Identifier: Apache-2.0
/**
 * config.json's quantization_config.kv_cache_scheme, as compressed-tensors writes it: how keys and values shall be stored.
 */
import { z } from "zod";
import { isRecord } from "../json.js";
import { parseFields } from "./parse-fields.js";

const schemeSchema = z.looseObject({
  num_bits: z.literal(8),
  type: z.enum(["int", "float"]),
  strategy: z.enum(["tensor", "attn_head", "token"]).nullish(),
  symmetric: z.literal(true).nullish(),
  dynamic: z.boolean().nullish(),
});

export interface KvCacheScheme {
  dtype: "int8" | "fp8";
  /** token: computed as they are stored; else fixed, in tensors of the checkpoint. */
  scale: "token" | "head" | "tensor";
}

/** The scheme of a config.json's content, null when it has none. ERR_MODEL_CONFIG. */
export function kvCacheSchemeOf(config: Record<string, unknown>, where: string): KvCacheScheme | null {
  const quantization = config["quantization_config"];
  const given = isRecord(quantization) ? (quantization["kv_cache_scheme"] ?? null) : null;
  if (given === null) return null;
  const prefix = "quantization_config.kv_cache_scheme";
  const scheme = parseFields(schemeSchema, given, { code: "ERR_MODEL_CONFIG", where, prefix });
  const dtype = scheme.type === "int" ? "int8" : "fp8";
  if (scheme.dynamic === true || scheme.strategy === "token") return { dtype, scale: "token" };
  return { dtype, scale: scheme.strategy === "attn_head" ? "head" : "tensor" };
}

/** Names of the tensors that hold a layer's fixed scales. */
export function kvScaleNames(layer: number): { keys: string; values: string } {
  const prefix = `model.layers.${layer}.self_attn`;
  return { keys: `${prefix}.k_scale`, values: `${prefix}.v_scale` };
}
