// SPDX-License-Identifier: Apache-2.0
/**
 * quantize: a model directory whose weights are codes and scales, weight by weight.
 */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { throwIfAborted } from "../abort.js";
import { binding } from "../binding.js";
import {
  fingerprintOf,
  namingTensor,
  openWhole,
  readTensorAs,
  writeModelFiles,
  type Checkpoint,
  type WeightDtype,
} from "../checkpoint/index.js";
import { EspalierError, toEspalierError } from "../errors.js";
import { toWriteError } from "../files/atomic-directory.js";
import { writeDirectoryAlone } from "../files/own-directory.js";
import { checkHooks } from "../hooks.js";
import { version } from "../version.js";
import {
  calibrateInputs,
  calibrationBytes,
  keepInputScales,
  removeInputScales,
  takeCalibrationSamples,
  type CalibrationHooks,
  type CalibrationSamples,
  type InputScales,
} from "./calibration.js";
import { resolveQuantizeOptions, type QuantizeOptions, type ResolvedQuantizeOptions } from "./config.js";
import { planQuantization, type PlannedWeight, type QuantizedPlan, type QuantizePlan } from "./plan.js";
import { quantizationConfig } from "./quantization-config.js";
import { checkReport, reportQuantization, type MeasureHooks, type QuantizationMeasurement } from "./report.js";
import { ShardWriter, type ShardPart } from "./shard-writer.js";

export interface QuantizeProgress {
  tensor: string;
  done: number;
  total: number;
}

export interface QuantizeHooks extends MeasureHooks, CalibrationHooks {
  onProgress?: (progress: QuantizeProgress) => void;
  /** What it will take, before anything is done. */
  onPlan?: (plan: Pick<QuantizePlan, "peakBytes" | "untiedHeadBytes" | "quantizedParameters" | "parameters">) => void;
}

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

export interface QuantizeResult {
  source: string;
  /** null when nothing was written. */
  out: string | null;
  scheme: string;
  parameters: number;
  quantizedParameters: number;
  /** Estimate of the most memory that was needed at once. */
  peakBytes: number;
  /** What rotating adds where the head was the embedding; else 0. */
  untiedHeadBytes: number;
  /** Of all weights, as written. */
  weightBytes: number;
  /** Of the same weights in the source. */
  sourceBytes: number;
  files: string[];
  /** In the model's order. */
  weights: QuantizedWeightReport[];
  /** With `report`. */
  measured: QuantizationMeasurement | null;
}

const PIECE_BYTES = 1 << 22;
const LINEAGE = "espalier.json";
const FIGURES = "quantization.json";

/**
 * Quantizes a model, one weight in memory at a time. A call that was stopped goes on when it is made again.
 *
 * @example await quantize({ model: "SmolLM2-135M", scheme: "nf4", doubleQuant: true, out: "SmolLM2-nf4" });
 */
export async function quantize(given: QuantizeOptions, hooks: QuantizeHooks = {}): Promise<QuantizeResult> {
  const options = resolveQuantizeOptions(given);
  checkHooks(hooks, "quantize");
  await using checkpoint = await openWhole(options.model);
  const plan = planQuantization(checkpoint, options);
  const samples = await takeCalibrationSamples(checkpoint, plan, options);
  if (samples !== null) plan.peakBytes = Math.max(plan.peakBytes, calibrationBytes(checkpoint, samples));
  hooks.onPlan?.(plan);
  const result: QuantizeResult = {
    source: options.model,
    out: null,
    scheme: options.scheme,
    parameters: plan.parameters,
    quantizedParameters: plan.quantizedParameters,
    peakBytes: plan.peakBytes,
    untiedHeadBytes: plan.untiedHeadBytes,
    weightBytes: 0,
    sourceBytes: [...checkpoint.tensors.values()].reduce((sum, tensor) => sum + tensor.sizeBytes, 0),
    files: [],
    weights: [],
    measured: null,
  };
  await checkReport(checkpoint, options);
  if (options.dryRun || options.out === undefined) return result;
  const { out, report } = options;
  const lineage = await lineageOf(checkpoint, plan, samples, options);
  // A report that was interrupted is all that is left to do.
  const made = report === undefined ? null : await readMade(out, lineage);
  if (made !== null) Object.assign(result, made);
  else {
    const busy = `${out}: another process quantizes into it`;
    await writeDirectoryAlone(out, { signal: hooks.signal, busy }, async (staging) => {
      const inputs = samples === null ? null : await calibrateInputs(checkpoint, plan, samples, staging, hooks);
      const written = await writeWeights(checkpoint, plan, inputs, options, staging, hooks);
      Object.assign(result, written);
      await writeSmallFiles(checkpoint, plan, options, lineage, staging, result);
    });
  }
  if (report !== undefined) result.measured = await measure({ ...options, report, out }, plan, result, hooks);
  return { ...result, out };
}

/** What `out` holds, when it was made by the same call; null otherwise. */
async function readMade(
  out: string,
  lineage: object,
): Promise<Pick<QuantizeResult, "files" | "weightBytes" | "weights"> | null> {
  try {
    const found = JSON.parse(await readFile(join(out, LINEAGE), "utf8")) as { quantized: { weightBytes: number } };
    const { quantized, ...made } = found;
    if (!isDeepStrictEqual(made, JSON.parse(JSON.stringify(lineage)))) return null;
    const figures = JSON.parse(await readFile(join(out, FIGURES), "utf8")) as Pick<QuantizeResult, "weights">;
    const files = (await readdir(out)).filter((name) => name.endsWith(".safetensors")).sort();
    return { files, weightBytes: quantized.weightBytes, weights: figures.weights };
  } catch {
    return null;
  }
}

/** The model is in place by now, and stays when this fails. */
async function measure(
  options: ResolvedQuantizeOptions & { report: string; out: string },
  { dtype }: QuantizePlan,
  { weights }: QuantizeResult,
  hooks: QuantizeHooks,
): Promise<QuantizationMeasurement> {
  try {
    return await reportQuantization(options, dtype, weights, hooks);
  } catch (error) {
    const known = toWriteError(toEspalierError(error), options.report);
    if (!(known instanceof EspalierError)) throw known;
    throw new EspalierError(known.code, `${options.out} is whole, but its report was not made: ${known.message}`, {
      hint: known.hint,
      cause: known,
    });
  }
}

async function writeWeights(
  checkpoint: Checkpoint,
  plan: QuantizePlan,
  inputs: InputScales | null,
  options: ResolvedQuantizeOptions,
  directory: string,
  { signal, onProgress }: QuantizeHooks,
): Promise<Pick<QuantizeResult, "files" | "weightBytes" | "weights">> {
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
      await writeJson(directory, "model.safetensors.index.json", {
        metadata: { total_size: weightBytes },
        weight_map: writer.weightMap(files),
      });
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

/** How the model came to be, but for what its weights take. */
async function lineageOf(
  checkpoint: Checkpoint,
  plan: QuantizePlan,
  samples: CalibrationSamples | null,
  options: ResolvedQuantizeOptions,
): Promise<object> {
  const {
    model: _model,
    out: _out,
    dryRun: _dry,
    report: _page,
    perplexity: _text,
    maxTokens: _tokens,
    calibration,
    calibrationSamples: _samples,
    calibrationLength: _length,
    ...recorded
  } = options;
  return {
    step: "quantize",
    version,
    options: { ...recorded, dtype: plan.dtype },
    ...(samples === null
      ? {}
      : {
          calibration: {
            text: basename(calibration ?? ""),
            samples: samples.tokens.length / samples.length,
            length: samples.length,
            sha256: samples.sha256,
          },
        }),
    parent: {
      name: basename(checkpoint.path),
      format: checkpoint.format,
      fingerprint: await fingerprintOf(checkpoint),
    },
  };
}

async function writeSmallFiles(
  checkpoint: Checkpoint,
  plan: QuantizePlan,
  options: ResolvedQuantizeOptions,
  lineage: object,
  directory: string,
  { weights, weightBytes, quantizedParameters }: QuantizeResult,
): Promise<void> {
  const quantization = quantizationConfig(plan, options);
  const quantized = { parameters: quantizedParameters, weightBytes };
  await writeModelFiles(checkpoint, directory, plan.dtype, {
    files: { [LINEAGE]: { ...lineage, quantized }, [FIGURES]: { weights } },
    config: {
      ...(quantization === null ? {} : { quantization_config: quantization }),
      ...(options.rotate ? { tie_word_embeddings: false } : {}),
    },
  });
}

async function writeJson(directory: string, name: string, value: object): Promise<void> {
  await writeFile(join(directory, name), `${JSON.stringify(value, null, 2)}\n`);
}
