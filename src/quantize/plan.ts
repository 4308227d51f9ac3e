// SPDX-License-Identifier: Apache-2.0
/**
 * What becomes of each weight, and what it takes: decided before anything is written.
 */
import { totalmem } from "node:os";
import { binding, type QuantizeTensorOptions, type WeightTransform } from "../binding.js";
import {
  checkRotatable,
  rotationTransform,
  storedDtype,
  type Checkpoint,
  type CheckpointTensor,
  type WeightDtype,
} from "../checkpoint/index.js";
import { EspalierError } from "../errors.js";
import { expectedTensors, type ExpectedTensor } from "../model/families.js";
import { matchesPattern } from "../model/name-pattern.js";
import { quantizeError, schemeOf, type ResolvedQuantizeOptions } from "./config.js";
import { isStatic, tapOf, type Grid, type Scheme } from "./schemes.js";

export interface PlannedWeight {
  tensor: ExpectedTensor;
  /** "model.layers.0.self_attn.q_proj" */
  module: string;
  /** What it is made of; a rotated model's head may be made of the embedding. */
  source: CheckpointTensor;
  /** Of rotated models. */
  transform: WeightTransform | undefined;
  /** null: written as it is. */
  quantized: QuantizedPlan | null;
}

export interface QuantizedPlan {
  scheme: Scheme;
  grid: Grid;
  groupSize: number | null;
  symmetric: boolean;
  native: QuantizeTensorOptions;
  /** Of static schemes, once it was calibrated. */
  inputScale?: number;
}

export interface QuantizePlan {
  dtype: WeightDtype;
  weights: PlannedWeight[];
  /** Of the largest weight: floats, codes, and the bytes to be written. */
  peakBytes: number;
  /** Of a head that was the embedding and, rotated, no longer is; else 0. */
  untiedHeadBytes: number;
  parameters: number;
  quantizedParameters: number;
}

const USUAL_PERCENTILE = 0.9999;

/** ERR_ARGUMENT for a pattern that matches nothing, ERR_QUANT_GROUP_SIZE, ERR_WEIGHT_FORMAT for quantized sources. */
export function planQuantization(checkpoint: Checkpoint, options: ResolvedQuantizeOptions): QuantizePlan {
  refuseQuantized(checkpoint);
  if (options.rotate) checkRotatable(checkpoint.spec, checkpoint.path, "rotate");
  const dtype = options.dtype ?? storedDtype(checkpoint);
  const weights = planWeights(checkpoint, dtype, options);
  const chosen = weights.filter(({ quantized }) => quantized !== null);
  if (chosen.length === 0 && options.kvCache === undefined)
    throw quantizeError("no weight is left to quantize: exclude leaves out all");
  const peakBytes = peakBytesOf(weights);
  checkMemory(peakBytes);
  const head = checkpoint.spec.tieWordEmbeddings ? weights.find(({ tensor }) => tensor.role === "lm_head") : undefined;
  const sum = (list: readonly PlannedWeight[]): number => list.reduce((total, { tensor }) => total + sizeOf(tensor), 0);
  return {
    dtype,
    weights,
    peakBytes,
    untiedHeadBytes: head === undefined ? 0 : bytesOf(head, dtype),
    parameters: sum(weights),
    quantizedParameters: sum(chosen),
  };
}

function planWeights(checkpoint: Checkpoint, dtype: WeightDtype, options: ResolvedQuantizeOptions): PlannedWeight[] {
  // Rotated, the final norm's gain goes into the head: the embedding can no longer stand for it.
  const expected = expectedTensors(options.rotate ? { ...checkpoint.spec, tieWordEmbeddings: false } : checkpoint.spec);
  checkPatterns(expected, options);
  return expected.map((tensor) => {
    const scheme = schemeOfTensor(tensor, options);
    const transform = options.rotate ? rotationTransform(checkpoint, expected, tensor, "all") : undefined;
    if (scheme !== null) checkStatic(tensor, scheme, !options.simulate && transform?.rotateColumns === true);
    return {
      tensor,
      module: moduleOf(tensor),
      source: sourceOf(checkpoint, tensor),
      transform,
      quantized: scheme === null ? null : plan(tensor, scheme, dtype, options),
    };
  });
}

/** Floats pass in pieces, but where rows are rotated all at once. */
function peakBytesOf(weights: readonly PlannedWeight[]): number {
  const bytes = weights.map(({ tensor, transform, quantized }) => {
    if (quantized !== null) return 7 * sizeOf(tensor);
    return transform?.rotateRows === true ? 8 * sizeOf(tensor) : 0;
  });
  return Math.max(...bytes, 0) + 64e6;
}

function sourceOf({ tensors, spec, path }: Checkpoint, { name, role }: ExpectedTensor): CheckpointTensor {
  const embedding = role === "lm_head" && spec.tieWordEmbeddings;
  const wanted = embedding ? expectedTensors(spec).find((tensor) => tensor.role === "embed_tokens")?.name : name;
  const source = tensors.get(wanted ?? name);
  if (source === undefined) throw new EspalierError("ERR_INTERNAL", `${path}: ${name} was checked but is missing`);
  return source;
}

/** Without scales. */
function bytesOf({ tensor, quantized }: PlannedWeight, dtype: WeightDtype): number {
  const floatBits = dtype === "f32" ? 32 : 16;
  const codes = quantized === null || quantized.native.layout === "dense" ? undefined : quantized.scheme.format;
  const bits = binding.numberFormats().find(({ id }) => id === codes)?.bits ?? floatBits;
  return (sizeOf(tensor) * bits) / 8;
}

function refuseQuantized({ path, tensors, config }: Checkpoint): void {
  const quantized = [...tensors.values()].find((tensor) => tensor.quantized !== undefined);
  if (quantized === undefined && (config["quantization_config"] ?? null) === null) return;
  const found = quantized === undefined ? "a quantization_config" : `${quantized.name} in ${quantized.type}`;
  throw new EspalierError("ERR_WEIGHT_FORMAT", `${path}: already quantized: it has ${found}`, {
    hint: "Quantize the original, or write floats first: espalier export MODEL --out DIR.",
  });
}

function moduleOf({ name }: ExpectedTensor): string {
  return name.replace(/\.weight$/, "");
}

function sizeOf({ shape }: ExpectedTensor): number {
  return shape.reduce((product, size) => product * size, 1);
}

function checkMemory(peakBytes: number): void {
  if (peakBytes <= totalmem()) return;
  throw new EspalierError(
    "ERR_OUT_OF_MEMORY",
    `quantize: the largest weight needs about ${Math.ceil(peakBytes / 1e9)} GB, this machine has ${Math.floor(totalmem() / 1e9)}`,
  );
}

function matches(pattern: string, tensor: ExpectedTensor): boolean {
  return matchesPattern(pattern, tensor.name) || matchesPattern(pattern, moduleOf(tensor));
}

function isMatrix({ part, shape }: ExpectedTensor): boolean {
  return part === "weight" && shape.length === 2;
}

function checkPatterns(expected: ExpectedTensor[], options: ResolvedQuantizeOptions): void {
  const lists = { include: options.include, exclude: options.exclude, overrides: Object.keys(options.overrides) };
  for (const [name, patterns] of Object.entries(lists))
    for (const pattern of patterns)
      if (!expected.some((tensor) => isMatrix(tensor) && matches(pattern, tensor)))
        throw new EspalierError(
          "ERR_ARGUMENT",
          `quantize: ${name}: the pattern "${pattern}" matches no weight of this model`,
          { hint: hintForPattern(pattern, expected) },
        );
}

function hintForPattern(pattern: string, expected: ExpectedTensor[]): string {
  const tied = !expected.some(({ role }) => role === "lm_head");
  if (tied && matchesPattern(pattern.replace(/\.weight$/, ""), "lm_head"))
    return "This model's head is its embedding: model.embed_tokens.";
  const example = expected.find(isMatrix);
  return `Patterns are of whole names, as in ${example === undefined ? "" : moduleOf(example)} or *.down_proj; * is any characters.`;
}

/** Linear layers but the head; more by `include` and `overrides`. */
function schemeOfTensor(tensor: ExpectedTensor, options: ResolvedQuantizeOptions): Scheme | null {
  if (!isMatrix(tensor) || options.exclude.some((pattern) => matches(pattern, tensor))) return null;
  const usual = tensor.linear && tensor.role !== "lm_head";
  let id = usual || options.include.some((pattern) => matches(pattern, tensor)) ? options.scheme : "none";
  for (const [pattern, wanted] of Object.entries(options.overrides)) if (matches(pattern, tensor)) id = wanted;
  return schemeOf(id, "scheme");
}

function plan(
  tensor: ExpectedTensor,
  scheme: Scheme,
  dtype: WeightDtype,
  options: ResolvedQuantizeOptions,
): QuantizedPlan {
  const [rows = 0, cols = 0] = tensor.shape;
  const takesGroups = scheme.allows.includes("groupSize");
  const groupSize = (takesGroups ? options.groupSize : undefined) ?? scheme.groupSize ?? null;
  const perTensor = options.perTensor && scheme.allows.includes("grid");
  const grid = perTensor ? "tensor" : groupSize === null ? scheme.grid : "group";
  const asymmetric = scheme.allows.includes("asymmetric") && (options.asymmetric || options.method === "hqq");
  const across = scheme.stored?.method === "bitsandbytes";
  if (across && groupSize !== null && (groupSize < 32 || !Number.isInteger(Math.log2(groupSize))))
    throw new EspalierError(
      "ERR_QUANT_GROUP_SIZE",
      `groupSize: expected a power of two from 32 to 4096 with ${scheme.id}, found ${groupSize}`,
    );
  if (grid === "group" && !across && groupSize !== null && cols % groupSize !== 0)
    throw new EspalierError(
      "ERR_QUANT_GROUP_SIZE",
      `${tensor.name} [${rows}, ${cols}]: groups of ${groupSize} do not divide ${cols} columns`,
      { hint: hintFor(cols, takesGroups) },
    );
  return {
    scheme,
    grid,
    groupSize: grid === "group" ? groupSize : null,
    symmetric: !asymmetric,
    native: {
      format: scheme.format,
      layout: options.simulate ? "dense" : (scheme.stored?.layout ?? "dense"),
      symmetric: !asymmetric,
      ...(grid === "group" ? { group: groupSize ?? 0 } : {}),
      ...(grid === "channel" ? { group: 0 } : {}),
      ...(grid === "tensor" ? { blockRows: -1 } : {}),
      ...(grid === "block" ? { blockRows: 128, blockCols: 128 } : {}),
      method: options.method === "hqq" && !asymmetric ? "max" : options.method,
      percentile: options.percentile ?? USUAL_PERCENTILE,
      scaleType: across ? "f32" : dtype,
      sourceDtype: dtype,
      nested: options.doubleQuant && scheme.allows.includes("doubleQuant"),
    },
  };
}

/** Inputs are measured on the source: none that nobody measures, and none that are then rotated. */
function checkStatic(tensor: ExpectedTensor, scheme: Scheme, rotatedInput: boolean): void {
  if (!isStatic(scheme)) return;
  const dynamic = scheme.activations?.type === "float" ? "fp8-dynamic" : "w8a8";
  if (tapOf(tensor.role) === undefined)
    throw new EspalierError(
      "ERR_ARGUMENT",
      `quantize: ${moduleOf(tensor)}: ${scheme.id} measures the inputs of the layers' linear weights only, not this one's`,
      { hint: `Give it another scheme: --override '${moduleOf(tensor)}=w8a16'.` },
    );
  if (rotatedInput)
    throw new EspalierError(
      "ERR_ARGUMENT",
      `quantize: rotate: ${moduleOf(tensor)}: ${scheme.id} measures inputs of the model as it is, and these are rotated`,
      { hint: `Take --scheme ${dynamic}, and ${scheme.id} for *.o_proj and *.down_proj alone, by --override.` },
    );
}

function hintFor(cols: number, takesGroups: boolean): string {
  const fits = [128, 64, 32].find((size) => cols % size === 0);
  if (!takesGroups || fits === undefined)
    return "Leave the weight out with --exclude, or take a scheme with scales per channel.";
  return `Groups of ${fits} do: --group-size ${fits}. Or leave the weight out with --exclude.`;
}
