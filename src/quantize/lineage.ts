// SPDX-License-Identifier: Apache-2.0
/**
 * What lies beside the weights: configuration, tokenizer, the errors of all weights, and how the model came to be, by which
 * a later call knows its own work.
 */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { fingerprintOf, writeModelFiles, type Checkpoint } from "../checkpoint/index.js";
import { version } from "../version.js";
import type { CalibrationSamples } from "./calibration.js";
import type { ResolvedQuantizeOptions } from "./config.js";
import type { QuantizePlan } from "./plan.js";
import { quantizationConfig } from "./quantization-config.js";
import type { WrittenWeights } from "./write-weights.js";

const LINEAGE = "espalier.json";
const FIGURES = "quantization.json";

/** How the model came to be, but for what its weights take. */
export async function lineageOf(
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

export async function writeSmallFiles(
  checkpoint: Checkpoint,
  plan: QuantizePlan,
  options: ResolvedQuantizeOptions,
  lineage: object,
  directory: string,
  { weights, weightBytes }: WrittenWeights,
): Promise<void> {
  const quantization = quantizationConfig(plan, options);
  const quantized = { parameters: plan.quantizedParameters, weightBytes };
  await writeModelFiles(checkpoint, directory, plan.dtype, {
    files: { [LINEAGE]: { ...lineage, quantized }, [FIGURES]: { weights } },
    config: {
      ...(quantization === null ? {} : { quantization_config: quantization }),
      ...(options.rotate ? { tie_word_embeddings: false } : {}),
    },
  });
}

/** What `out` holds, when it was made by the same call; null otherwise. */
export async function readMade(out: string, lineage: object): Promise<WrittenWeights | null> {
  try {
    const found = JSON.parse(await readFile(join(out, LINEAGE), "utf8")) as { quantized: { weightBytes: number } };
    const { quantized, ...made } = found;
    if (!isDeepStrictEqual(made, JSON.parse(JSON.stringify(lineage)))) return null;
    const figures = JSON.parse(await readFile(join(out, FIGURES), "utf8")) as Pick<WrittenWeights, "weights">;
    const files = (await readdir(out)).filter((name) => name.endsWith(".safetensors")).sort();
    return { files, weightBytes: quantized.weightBytes, weights: figures.weights };
  } catch {
    return null;
  }
}
