// SPDX-License-Identifier: Apache-2.0
/**
 * config.json's quantization_config, as compressed-tensors and bitsandbytes write it.
 */
import type { WeightDtype } from "../checkpoint/index.js";
import { version } from "../version.js";
import type { ResolvedQuantizeOptions } from "./config.js";
import type { PlannedWeight, QuantizedPlan, QuantizePlan } from "./plan.js";

const TORCH_NAMES: Readonly<Record<WeightDtype, string>> = { f32: "float32", f16: "float16", bf16: "bfloat16" };

/** null when nothing in the files is quantized. */
export function quantizationConfig(plan: QuantizePlan, options: ResolvedQuantizeOptions): object | null {
  // Simulated weights are floats to whoever loads them.
  const stored = options.simulate ? plan.weights.map((weight) => ({ ...weight, quantized: null })) : plan.weights;
  const quantized = stored.filter((weight) => weight.quantized !== null);
  if (quantized.length === 0 && options.kvCache === undefined) return null;
  const method = quantized[0]?.quantized?.scheme.stored?.method ?? "compressed-tensors";
  return method === "bitsandbytes" ? bitsandbytesConfig(plan, options) : compressedTensorsConfig(stored, options);
}

function bitsandbytesConfig({ weights, dtype }: QuantizePlan, options: ResolvedQuantizeOptions): object {
  const type = weights.find(({ quantized }) => quantized !== null)?.quantized?.scheme.format;
  return {
    _load_in_4bit: true,
    _load_in_8bit: false,
    bnb_4bit_compute_dtype: TORCH_NAMES[dtype],
    bnb_4bit_quant_storage: "uint8",
    bnb_4bit_quant_type: type,
    bnb_4bit_use_double_quant: options.doubleQuant,
    llm_int8_enable_fp32_cpu_offload: false,
    llm_int8_has_fp16_weight: false,
    llm_int8_skip_modules: unquantizedLinears(weights),
    llm_int8_threshold: 6.0,
    load_in_4bit: true,
    load_in_8bit: false,
    quant_method: "bitsandbytes",
  };
}

/** Linear layers that stay: the tools would otherwise look for their codes. The head is one even where it is tied. */
function unquantizedLinears(weights: PlannedWeight[]): string[] {
  const modules = weights
    .filter(({ tensor, quantized }) => quantized === null && tensor.linear && tensor.part === "weight")
    .map(({ module }) => module);
  const hasHead = weights.some(({ tensor }) => tensor.role === "lm_head");
  return hasHead ? modules : [...modules, "lm_head"];
}

function compressedTensorsConfig(weights: PlannedWeight[], options: ResolvedQuantizeOptions): object {
  const groups = new Map<string, { plan: QuantizedPlan; weights: PlannedWeight[] }>();
  for (const weight of weights) {
    if (weight.quantized === null) continue;
    const { scheme, grid, groupSize, symmetric } = weight.quantized;
    const key = JSON.stringify([scheme.id, grid, groupSize, symmetric]);
    const group = groups.get(key) ?? { plan: weight.quantized, weights: [] };
    groups.set(key, group);
    group.weights.push(weight);
  }
  const list = [...groups.values()];
  const formats = [...new Set(list.map(({ plan }) => plan.scheme.stored?.format ?? "dense"))];
  const mixed = formats.length > 1;
  const one = list.length === 1 && list[0]!.weights.every(({ tensor }) => tensor.linear);
  return {
    config_groups: Object.fromEntries(
      list.map(({ plan, weights: members }, index) => [
        `group_${index}`,
        {
          targets: one ? ["Linear"] : members.map(({ module }) => module),
          weights: weightArgs(plan),
          input_activations: activationArgs(plan),
          output_activations: null,
          ...(mixed ? { format: plan.scheme.stored?.format } : {}),
        },
      ]),
    ),
    format: mixed ? "mixed-precision" : (formats[0] ?? "dense"),
    global_compression_ratio: null,
    ignore: unquantizedLinears(weights),
    kv_cache_scheme: options.kvCache === undefined ? null : cacheArgs(options.kvCache),
    quant_method: "compressed-tensors",
    quantization_status: "compressed",
    sparsity_config: {},
    transform_config: {},
    version: `espalier-${version}`,
  };
}

/** Only keys that every version since 0.8 reads. */
function weightArgs({ scheme, grid, groupSize, symmetric }: QuantizedPlan): object {
  const float = scheme.format.includes("fp");
  const strategy = scheme.format === "nvfp4" ? "tensor_group" : grid;
  return {
    num_bits: scheme.format === "int4" || scheme.format.endsWith("fp4") ? 4 : 8,
    type: float ? "float" : "int",
    symmetric,
    strategy,
    ...(grid === "group" ? { group_size: groupSize } : {}),
    ...(grid === "block" ? { block_structure: [128, 128] } : {}),
    dynamic: false,
    ...(scheme.format.startsWith("mx") ? { scale_dtype: "torch.uint8" } : {}),
    ...(scheme.format === "nvfp4" ? { scale_dtype: "torch.float8_e4m3fn" } : {}),
  };
}

function activationArgs({ scheme: { activations } }: QuantizedPlan): object | null {
  if (activations === null) return null;
  const { type, strategy, dynamic, groupSize } = activations;
  return {
    num_bits: 8,
    type,
    symmetric: true,
    strategy,
    ...(groupSize === undefined ? {} : { group_size: groupSize }),
    dynamic,
    ...(dynamic ? {} : { observer: "minmax" }),
  };
}

/** A scale for each token and head, as engines store them: nothing needs to be measured. */
function cacheArgs(dtype: "int8" | "fp8"): object {
  return { num_bits: 8, type: dtype === "int8" ? "int" : "float", symmetric: true, strategy: "token", dynamic: true };
}
