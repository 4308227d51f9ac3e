// SPDX-License-Identifier: Apache-2.0
/**
 * quantize: a model directory whose weights are codes and scales, weight by weight.
 */
import { openWhole } from "../checkpoint/index.js";
import { EspalierError, toEspalierError } from "../errors.js";
import { toWriteError } from "../files/atomic-directory.js";
import { writeDirectoryAlone } from "../files/own-directory.js";
import { checkHooks } from "../hooks.js";
import { calibrateInputs, calibrationBytes, takeCalibrationSamples, type CalibrationHooks } from "./calibration.js";
import { resolveQuantizeOptions, type QuantizeOptions, type ResolvedQuantizeOptions } from "./config.js";
import { lineageOf, readMade, writeSmallFiles } from "./lineage.js";
import { planQuantization, type QuantizePlan } from "./plan.js";
import { checkReport, reportQuantization, type MeasureHooks, type QuantizationMeasurement } from "./report.js";
import { writeWeights, type QuantizedWeightReport } from "./write-weights.js";

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
      await writeSmallFiles(checkpoint, plan, options, lineage, staging, written);
      Object.assign(result, written);
    });
  }
  if (report !== undefined) result.measured = await measure({ ...options, report, out }, plan, result, hooks);
  return { ...result, out };
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
