// SPDX-License-Identifier: Apache-2.0
/**
 * collectQuantized: puts the parts of quantized weights together, so that the rest of the package meets matrices.
 */
import { binding, type QuantizedSource, type StoredPart } from "../../binding.js";
import { EspalierError, toEspalierError } from "../../errors.js";
import { isRecord } from "../../json.js";
import { expectedTensors } from "../../model/families.js";
import { show } from "../../model/parse-fields.js";
import type { ModelSpec } from "../../model/spec.js";
import { nearestHint } from "../../nearest.js";
import type { CheckpointTensor } from "../types.js";
import { openBitsandbytes } from "./bitsandbytes.js";
import { openCompressedTensors } from "./compressed-tensors.js";
import { openAwq, openGptq } from "./gptq-awq.js";
import type { Activations, QuantizedModel, QuantizedModule, QuantizedWeight } from "./types.js";

/** quant_method of config.json. */
const methods: Readonly<Record<string, (quantization: Record<string, unknown>, where: string) => QuantizedModel>> = {
  awq: openAwq,
  bitsandbytes: openBitsandbytes,
  "compressed-tensors": openCompressedTensors,
  gptq: openGptq,
};

const parts = new Map<string, readonly string[]>();

/** Suffixes of a layout's tensors. */
function partsOf(layout: string): readonly string[] {
  if (parts.size === 0)
    for (const { id, parts: rows } of binding.quantLayouts())
      parts.set(
        id,
        rows.map(({ suffix }) => suffix),
      );
  return parts.get(layout) ?? [];
}

/** The method of a configuration; null when its weights are not quantized. ERR_QUANT_CONFIG. */
export function quantizedModelOf(config: Record<string, unknown>, where: string): QuantizedModel | null {
  const quantization = config["quantization_config"] ?? null;
  if (quantization === null) return null;
  if (!isRecord(quantization))
    throw new EspalierError(
      "ERR_QUANT_CONFIG",
      `${where}: quantization_config: expected an object, found ${show(quantization)}`,
    );
  const method = quantization["quant_method"];
  if (typeof method === "string" && Object.hasOwn(methods, method)) return methods[method]!(quantization, where);
  const known = Object.keys(methods);
  throw new EspalierError(
    "ERR_QUANT_CONFIG",
    `${where}: quantization_config.quant_method: expected one of ${known.join(", ")}, found ${show(method)}` +
      (typeof method === "string" ? nearestHint(method, known) : ""),
  );
}

/**
 * Replaces the parts of each quantized weight in `tensors` by one tensor `MODULE.weight` of the matrix's shape, at the
 * place of the first. ERR_QUANT_PARTS names a part that is missing, misshapen or not expected.
 */
export async function collectQuantized(
  tensors: Map<string, CheckpointTensor>,
  spec: ModelSpec,
  model: QuantizedModel,
): Promise<Map<string, CheckpointTensor>> {
  const replaced = new Map<string, CheckpointTensor>();
  const taken = new Set<string>();
  for (const expected of expectedTensors(spec)) {
    const [rows, cols] = expected.shape;
    if (expected.part !== "weight" || rows === undefined || cols === undefined) continue;
    const name = expected.name.replace(/\.weight$/, "");
    const module = { name, expected, rows, cols, stored: (suffix: string) => tensors.get(`${name}.${suffix}`) };
    const weight = await model.weightOf(module);
    if (weight === null) continue;
    const { tensor, names } = assemblePart(module, weight);
    replaced.set(names[0] ?? expected.name, tensor);
    for (const part of names) taken.add(part);
  }
  refuseExtra(tensors, taken, model.method);
  const out = new Map<string, CheckpointTensor>();
  for (const [name, tensor] of tensors) {
    const whole = replaced.get(name);
    if (whole !== undefined) out.set(whole.name, whole);
    else if (!taken.has(name)) out.set(name, tensor);
  }
  return out;
}

/** The tensor that stands for a module's weight, and the names of its parts. */
function assemblePart(module: QuantizedModule, weight: QuantizedWeight): { tensor: CheckpointTensor; names: string[] } {
  const { expected, rows, cols } = module;
  const { activations, ...layout } = weight;
  const found = partsOf(weight.layout).flatMap((suffix) => {
    const tensor = module.stored(suffix);
    return tensor === undefined ? [] : [{ suffix, tensor }];
  });
  const [first] = found;
  if (first === undefined)
    throw new EspalierError("ERR_CHECKPOINT_TENSORS", `${module.name}: none of its quantized tensors is there`);
  const quantized: QuantizedSource = {
    ...layout,
    rows,
    cols,
    parts: Object.fromEntries(found.map(({ suffix, tensor }) => [suffix, storedPart(tensor)])),
  };
  check(quantized, module.name, first.tensor.file);
  return {
    tensor: {
      ...first.tensor,
      name: expected.name,
      sourceName: first.tensor.sourceName,
      shape: [rows, cols],
      rows,
      cols,
      type: weight.type,
      sizeBytes: found.reduce((sum, { tensor }) => sum + tensor.sizeBytes, 0),
      permuteHeads: 0,
      quantized,
      activations,
    },
    names: found.map(({ tensor }) => tensor.name),
  };
}

function storedPart({ mapped, offset, sizeBytes, type, shape }: CheckpointTensor): StoredPart {
  return { file: mapped, offset, sizeBytes, type: type.toUpperCase(), shape };
}

function check(quantized: QuantizedSource, module: string, file: string): void {
  try {
    binding.checkQuantized(quantized);
  } catch (error) {
    const known = toEspalierError(error);
    if (!(known instanceof EspalierError)) throw known;
    throw new EspalierError(known.code, `${file}: ${module}: ${known.message}`, { hint: known.hint, cause: known });
  }
}

const KV_SCALE = /\.self_attn\.[kv]_scale$/;

/** A scale that no quantized weight took: the configuration and the files disagree. */
function refuseExtra(tensors: Map<string, CheckpointTensor>, taken: Set<string>, method: string): void {
  const suffixes = [...parts.values()].flat().filter((suffix) => suffix !== "weight");
  for (const { name, file } of tensors.values())
    if (!taken.has(name) && !KV_SCALE.test(name) && suffixes.some((suffix) => name.endsWith(`.${suffix}`)))
      throw new EspalierError(
        "ERR_QUANT_PARTS",
        `${file}: ${name}: belongs to no weight that quantization_config (${method}) says is quantized`,
      );
}

export type { Activations };
