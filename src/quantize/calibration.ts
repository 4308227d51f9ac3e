// SPDX-License-Identifier: Apache-2.0
/**
 * Static activations: the scale of each quantized layer's input, from the largest value it takes over a text.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import {
  planCalibration,
  runCalibrationPass,
  type CalibrationOptions,
  type CalibrationProgress,
  type Tap,
} from "../calibrate/index.js";
import { fingerprintOf, type Checkpoint } from "../checkpoint/index.js";
import { EspalierError } from "../errors.js";
import { readText } from "../files/read-text.js";
import { replaceFile } from "../files/replace-file.js";
import { tokenizerFromCheckpoint } from "../tokenizer/index.js";
import { version } from "../version.js";
import { quantizeError, type ResolvedQuantizeOptions } from "./config.js";
import type { PlannedWeight, QuantizePlan } from "./plan.js";
import { isStatic, tapOf } from "./schemes.js";

/** Parts of the text that go through the model. */
export interface CalibrationSamples {
  /** [samples, length] */
  tokens: Int32Array;
  length: number;
  sha256: string;
}

export interface InputScales {
  /** Of model, samples and what is measured. */
  signature: string;
  /** Module to the scale of its input. */
  scales: ReadonlyMap<string, number>;
}

export interface CalibrationHooks {
  signal?: AbortSignal;
  onCalibration?: (progress: CalibrationProgress) => void;
}

const SAMPLES = 128;
const LENGTH = 512;
/** So many characters of the text are read for each token asked for: texts have about four. */
const CHARACTERS_PER_TOKEN = 16;
/** Beside the journal while weights are written. */
const FILE = "input-scales.json";
const FLOAT32_EPSILON = 2 ** -23;
const LARGEST: Readonly<Record<"int" | "float", number>> = { int: 127.5, float: 448 };

function staticWeights({ weights }: QuantizePlan): PlannedWeight[] {
  return weights.filter(
    ({ quantized }) => quantized !== null && isStatic(quantized.scheme) && quantized.native.layout !== "dense",
  );
}

/**
 * null: nothing asks for them. Samples are spread evenly over the text, which is never read beyond what they need by far.
 * ERR_ARGUMENT, ERR_FILE_READ, ERR_TOKENIZER_MISSING.
 */
export async function takeCalibrationSamples(
  checkpoint: Checkpoint,
  plan: QuantizePlan,
  options: ResolvedQuantizeOptions,
): Promise<CalibrationSamples | null> {
  const { calibration, calibrationSamples = SAMPLES, calibrationLength } = options;
  if (calibration === undefined || staticWeights(plan).length === 0) return null;
  const positions = checkpoint.spec.maxPositions;
  if (calibrationLength !== undefined && calibrationLength > positions)
    throw quantizeError(
      `calibrationLength: expected at most the ${positions} positions of ${checkpoint.path}, found ${calibrationLength}`,
    );
  const wanted = calibrationLength ?? Math.min(LENGTH, positions);
  const text = await readText(calibration);
  const ids = await encode(checkpoint, text.slice(0, calibrationSamples * wanted * CHARACTERS_PER_TOKEN));
  if (ids.length < 2)
    throw quantizeError(`calibration: expected text of 2 tokens or more in ${calibration}, found ${ids.length}`);
  const length = Math.min(wanted, ids.length);
  const windows = Math.floor(ids.length / length);
  const samples = Math.min(calibrationSamples, windows);
  const tokens = new Int32Array(samples * length);
  for (let i = 0; i < samples; ++i) {
    const from = Math.floor((i * windows) / samples) * length;
    tokens.set(ids.subarray(from, from + length), i * length);
  }
  return { tokens, length, sha256: createHash("sha256").update(new Uint8Array(tokens.buffer)).digest("hex") };
}

async function encode(checkpoint: Checkpoint, text: string): Promise<Int32Array> {
  await using tokenizer = await tokenizerFromCheckpoint(checkpoint);
  if (tokenizer === null)
    throw new EspalierError(
      "ERR_TOKENIZER_MISSING",
      `quantize: calibration: ${checkpoint.path} has no tokenizer, the text cannot be read by it`,
    );
  return Int32Array.from(await tokenizer.encode(text, { addSpecialTokens: true }));
}

function passOptions(checkpoint: Checkpoint, { tokens, length }: CalibrationSamples, taps: readonly Tap[]) {
  return {
    model: checkpoint,
    tokens,
    length,
    taps: taps.map((tap) => ({ tap, statistic: "range" }) as const),
    directory: "",
  } satisfies CalibrationOptions;
}

/** Estimate of the most memory a pass needs at once: a block's weights, the hidden states, activations of a batch. */
export function calibrationBytes(checkpoint: Checkpoint, samples: CalibrationSamples): number {
  const { blockBytes, statesBytes, statesInMemory } = planCalibration(passOptions(checkpoint, samples, []));
  const { hiddenSize, intermediateSize } = checkpoint.spec;
  const batch = Math.min(samples.tokens.length, Math.max(4096, samples.length));
  return blockBytes + (statesInMemory ? statesBytes : 0) + 4 * batch * (12 * hiddenSize + 4 * intermediateSize);
}

/** Sets `inputScale` of the plan's weights. Started again in the same directory after a stop, it goes on from there. */
export async function calibrateInputs(
  checkpoint: Checkpoint,
  plan: QuantizePlan,
  samples: CalibrationSamples,
  directory: string,
  hooks: CalibrationHooks,
): Promise<InputScales> {
  const weights = staticWeights(plan);
  const parts = [version, await fingerprintOf(checkpoint), samples.length, samples.sha256];
  const asked = weights.map(({ module, quantized }) => [module, quantized!.scheme.activations!.type]);
  const signature = createHash("sha256")
    .update(JSON.stringify([parts, asked]))
    .digest("hex");
  const kept = await readInputScales(directory);
  const inputs =
    kept?.signature === signature
      ? kept
      : { signature, scales: await measureInputs(checkpoint, weights, samples, join(directory, "calibration"), hooks) };
  for (const { module, quantized } of weights) quantized!.inputScale = inputs.scales.get(module)!;
  return inputs;
}

async function measureInputs(
  checkpoint: Checkpoint,
  weights: readonly PlannedWeight[],
  samples: CalibrationSamples,
  directory: string,
  { signal, onCalibration }: CalibrationHooks,
): Promise<Map<string, number>> {
  const taps = [...new Set(weights.map(({ tensor }) => tapOf(tensor.role)!))];
  await mkdir(directory, { recursive: true });
  const statistics = await runCalibrationPass({
    ...passOptions(checkpoint, samples, taps),
    directory,
    ...(signal === undefined ? {} : { signal }),
    ...(onCalibration === undefined ? {} : { onProgress: onCalibration }),
  });
  await rm(directory, { recursive: true });
  const scales = weights.map((weight) => {
    const { layer, role } = weight.tensor;
    return [weight.module, scaleOf(weight, statistics[layer!]![taps.indexOf(tapOf(role)!)]!)] as const;
  });
  return new Map(scales);
}

/** compressed-tensors' minmax observer: half the range over half the codes, in f32; epsilon for inputs that are all 0. */
function scaleOf({ tensor, module, quantized }: PlannedWeight, range: Float64Array): number {
  const width = tensor.shape[1]!;
  let absmax = 0;
  for (let i = 0; i < 2 * width; ++i) {
    if (!Number.isFinite(range[i]!))
      throw new EspalierError("ERR_QUANT_SCALE", `${module}: its inputs are not finite over the calibration text`, {
        hint: "The model's own activations overflow; look at its weights, or leave the layer out with --exclude.",
      });
    absmax = Math.max(absmax, Math.abs(range[i]!));
  }
  return Math.fround(absmax / LARGEST[quantized!.scheme.activations!.type]) || FLOAT32_EPSILON;
}

const schema = z.object({ signature: z.string(), scales: z.record(z.string(), z.number()) });

async function readInputScales(directory: string): Promise<InputScales | null> {
  try {
    const { signature, scales } = schema.parse(JSON.parse(await readFile(join(directory, FILE), "utf8")));
    return { signature, scales: new Map(Object.entries(scales)) };
  } catch {
    return null;
  }
}

/** Until `removeInputScales`: what is stopped while weights are written need not calibrate again. */
export async function keepInputScales(directory: string, { signature, scales }: InputScales): Promise<void> {
  await replaceFile(join(directory, FILE), JSON.stringify({ signature, scales: Object.fromEntries(scales) }));
}

export async function removeInputScales(directory: string): Promise<void> {
  await rm(join(directory, FILE), { force: true });
}
