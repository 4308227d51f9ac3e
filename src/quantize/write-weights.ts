// SPDX-License-Identifier: Apache-2.0
/**
 * The weights of a quantized model, one in memory at a time, into shards that a later run can go on with.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "../abort.js";
import { binding } from "../binding.js";
import { fingerprintOf, namingTensor, readTensorAs, type Checkpoint, type WeightDtype } from "../checkpoint/index.js";
import { version } from "../version.js";
import { keepInputScales, removeInputScales, type InputScales } from "./calibration.js";
import type { ResolvedQuantizeOptions } from "./config.js";
import type { PlannedWeight, QuantizedPlan, QuantizePlan } from "./plan.js";
import { ShardWriter, type ShardPart } from "./shard-writer.js";

/** What rounding did to a weight. */
export interface QuantizedWeightReport {
  name: string;
  scheme: string;
  /** [rows, cols] */
  shape: number[];
  /** Scales included. */
  bitsPerWeight: number;
  bytes: number;
  /** |w - ŵ| over |w|, Frobenius norms; and the largest |w - ŵ|. */
  relativeError: number;
  largestError: number;
}

export interface WrittenWeights {
  files: string[];
  /** Of all weights, as written. */
  weightBytes: number;
  /** In the model's order. */
  weights: QuantizedWeightReport[];
}

export interface WriteWeightsHooks {
  signal?: AbortSignal | undefined;
  onProgress?: (progress: { tensor: string; done: number; total: number }) => void;
}

const PIECE_BYTES = 1 << 22;

export async function writeWeights(
  checkpoint: Checkpoint,
  plan: QuantizePlan,
  inputs: InputScales | null,
  options: ResolvedQuantizeOptions,
  directory: string,
  { signal, onProgress }: WriteWeightsHooks,
): Promise<WrittenWeights> {
  const writer = await ShardWriter.open<QuantizedWeightReport | null>({
    directory,
    signature: await signatureOf(checkpoint, plan, options),
    maxShardBytes: options.maxShardBytes,
    names: plan.weights.flatMap(namesOf),
  });
  try {
    if (inputs !== null) await keepInputScales(directory, inputs);
    for (const [index, weight] of plan.weights.entries()) {
      if (index < writer.done.length) continue;
      if (signal?.aborted === true) await writer.save();
      throwIfAborted(signal);
      onProgress?.({ tensor: weight.tensor.name, done: index, total: plan.weights.length });
      await writeWeight(writer, weight, plan.dtype);
    }
    onProgress?.({ tensor: "", done: plan.weights.length, total: plan.weights.length });
    const weightBytes = writer.bytes;
    const files = await writer.finish();
    await removeInputScales(directory);
    if (files.length > 1)
      await writeIndex(directory, { metadata: { total_size: weightBytes }, weight_map: writer.weightMap(files) });
    return { files, weightBytes, weights: writer.done.flatMap(({ figures }) => figures ?? []) };
  } finally {
    await writer.close();
  }
}

/** Everything that decides the bytes of the weights. */
async function signatureOf(
  checkpoint: Checkpoint,
  plan: QuantizePlan,
  { maxShardBytes, simulate, rotate }: ResolvedQuantizeOptions,
): Promise<string> {
  const weights = plan.weights.map(({ tensor, quantized }) => [
    tensor.name,
    tensor.shape,
    quantized === null ? null : [quantized.native, quantized.inputScale ?? null],
  ]);
  return JSON.stringify([
    version,
    await fingerprintOf(checkpoint),
    plan.dtype,
    maxShardBytes,
    simulate,
    rotate,
    weights,
  ]);
}

/** Names a weight may be written under. */
function namesOf({ tensor, module, quantized }: PlannedWeight): string[] {
  if (quantized === null || quantized.native.layout === "dense") return [tensor.name];
  const layout = binding.quantLayouts().find(({ id }) => id === quantized.native.layout);
  return (layout?.parts ?? []).map(({ suffix }) => `${module}.${suffix}`);
}

async function writeWeight(
  writer: ShardWriter<QuantizedWeightReport | null>,
  weight: PlannedWeight,
  dtype: WeightDtype,
): Promise<void> {
  const { tensor, quantized } = weight;
  if (quantized === null) {
    const bytes = tensor.shape.reduce((product, size) => product * size, dtype === "f32" ? 4 : 2);
    const part: ShardPart = {
      name: tensor.name,
      type: dtype.toUpperCase(),
      shape: tensor.shape,
      bytes,
      pieces: piecesOf(weight, dtype),
    };
    return writer.append(tensor.name, [part], null);
  }
  const { parts, report } = await quantizeWeight(weight, quantized);
  return writer.append(tensor.name, parts, report);
}

async function* piecesOf({ source, transform }: PlannedWeight, dtype: WeightDtype): AsyncGenerator<Uint8Array> {
  const { rows, cols } = source;
  const atOnce = transform?.rotateRows === true ? rows : Math.floor(PIECE_BYTES / 4 / Math.max(1, cols));
  const step = Math.max(1, atOnce);
  const transformed = transform === undefined ? {} : { transform };
  for (let rowBegin = 0; rowBegin < rows; rowBegin += step) {
    const range = { rowBegin, rowCount: Math.min(step, rows - rowBegin), ...transformed };
    yield await namingTensor(source, () => readTensorAs(source, dtype, range));
  }
}

async function quantizeWeight(
  { tensor, module, source, transform }: PlannedWeight,
  { scheme, grid, native, inputScale }: QuantizedPlan,
): Promise<{ parts: ShardPart[]; report: QuantizedWeightReport }> {
  const made = await namingTensor(source, () => binding.quantizeTensor(source.mapped, source, native, transform));
  const parts: ShardPart[] = made.parts.map(({ suffix, type, shape, data }) => ({
    name: `${module}.${suffix}`,
    type,
    // One block has a matrix of scales too: compressed-tensors looks for [1, 1].
    shape: grid === "block" && shape.length === 1 ? [1, 1] : shape,
    bytes: data.length,
    pieces: [data],
  }));
  if (inputScale !== undefined) {
    const data = Buffer.alloc(4);
    data.writeFloatLE(inputScale);
    parts.push({ name: `${module}.input_scale`, type: "F32", shape: [1], bytes: data.length, pieces: [data] });
  }
  const bytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  const report = {
    name: tensor.name,
    scheme: scheme.id,
    shape: tensor.shape,
    bitsPerWeight: (bytes * 8) / tensor.shape.reduce((product, size) => product * size, 1),
    bytes,
    relativeError: made.squaredSum === 0 ? 0 : Math.sqrt(made.squaredError / made.squaredSum),
    largestError: made.largestError,
  };
  return { parts, report };
}

async function writeIndex(directory: string, index: object): Promise<void> {
  await writeFile(join(directory, "model.safetensors.index.json"), `${JSON.stringify(index, null, 2)}\n`);
}
