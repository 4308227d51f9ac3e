// SPDX-License-Identifier: Apache-2.0
/** exportOnnx: a decoder as an ONNX model with a key-value cache. */
import { readdir } from "node:fs/promises";
import { checkTensors, writeModelFiles, type Checkpoint, type ExportProgress } from "../../checkpoint/index.js";
import { writeDirectoryAtomically } from "../../files/atomic-directory.js";
import { CheckpointWeights } from "./checkpoint-weights.js";
import { resolveOnnxOptions, type OnnxOptions, type ResolvedOnnxOptions } from "./config.js";
import { addDecoder } from "./decoder.js";
import { writeOnnxFiles } from "./files.js";
import { GraphBuilder } from "./graph-builder.js";
import { storedForms } from "./quantized-weights.js";
import { tensorBytes } from "./tensor-types.js";

/** More than this stands outside of model.onnx unless told otherwise; a protobuf message ends at 2 GB. */
const INLINE_BYTES = 512e6;

export interface OnnxControls {
  onProgress?: (progress: ExportProgress) => void;
  signal?: AbortSignal;
}

export interface OnnxExportResult {
  path: string;
  /** Names of the files written. */
  files: string[];
  weightBytes: number;
  /** Whether weights are in model.onnx_data. */
  externalData: boolean;
  /** Quantized weights whose codes ONNX does not hold: they were dequantized. */
  dequantized: readonly string[];
}

/**
 * Writes model.onnx, config.json and the tokenizer's files into a new directory: opset 21 with standard operators only,
 * inputs and outputs as Optimum names them. The directory appears whole or not at all.
 *
 * @example
 * await using checkpoint = await openCheckpoint("SmolLM2-135M");
 * await exportOnnx(checkpoint, "SmolLM2-135M-onnx", { quantize: "int4", groupSize: 64 });
 */
export async function exportOnnx(
  checkpoint: Checkpoint,
  target: string,
  options: OnnxOptions = {},
  { onProgress, signal }: OnnxControls = {},
): Promise<OnnxExportResult> {
  checkTensors(checkpoint);
  const resolved = resolveOnnxOptions(options, checkpoint.spec);
  const { graph, dequantized } = await graphOf(checkpoint, resolved, signal);
  const sizes = [...graph.initializers.values()].map(({ type, dims }) => tensorBytes(type, dims));
  const bytesTotal = sizes.reduce((sum, size) => sum + size, 0);
  const external = resolved.externalData ?? bytesTotal > INLINE_BYTES;
  let bytesDone = 0;
  const onBytes = (bytes: number): void => {
    bytesDone += bytes;
    onProgress?.({ bytesDone, bytesTotal });
  };
  let files: string[] = [];
  await writeDirectoryAtomically(
    target,
    async (staging) => {
      const { dtype, quantize, groupSize, includeHead } = resolved;
      await writeModelFiles(checkpoint, staging, dtype, {
        config: { "transformers.js_config": transformersJsConfig(resolved, external) },
        lineage: { to: "onnx", dtype, quantize, groupSize, includeHead, externalData: external },
      });
      await writeOnnxFiles(staging, graph, { external, onBytes });
      files = await readdir(staging);
    },
    { signal },
  );
  return { path: target, files: files.sort(), weightBytes: bytesTotal, externalData: external, dequantized };
}

async function graphOf(
  checkpoint: Checkpoint,
  { dtype: type, quantize, groupSize, includeHead }: ResolvedOnnxOptions,
  signal: AbortSignal | undefined,
): Promise<{ graph: GraphBuilder; dequantized: readonly string[] }> {
  const stored = await storedForms(checkpoint, type, signal);
  const graph = new GraphBuilder();
  const weights = new CheckpointWeights(checkpoint, graph, { type, quantize, groupSize, includeHead, stored, signal });
  addDecoder({ graph, spec: checkpoint.spec, type, weights });
  weights.checkAllTaken();
  return { graph, dequantized: weights.dequantized };
}

/** What transformers.js must know beyond the model: "fp32" stands for a file name without a suffix there. */
function transformersJsConfig({ dtype }: ResolvedOnnxOptions, external: boolean): object {
  return {
    dtype: "fp32",
    kv_cache_dtype: dtype === "f16" ? "float16" : "float32",
    use_external_data_format: external,
  };
}
