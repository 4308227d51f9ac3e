// SPDX-License-Identifier: Apache-2.0
/** export --to onnx: a directory with model.onnx. */
import { requiredOut, type ExportTarget } from "../target.js";
import type { OnnxOptions } from "./config.js";
import type { OnnxExportResult } from "./export.js";

const flags = ["dtype", "quantize", "groupSize", "includeHead", "externalData"] as const;

export const onnxTarget: ExportTarget = {
  id: "onnx",
  help: "a directory whose model.onnx has a key-value cache, for onnxruntime, transformers.js or TensorRT, in --dtype",
  flags,
  addFlags: (command) => {
    command
      .option("--quantize <kind>", "of onnx: weights of the layers as int8, fp8 (both by channel) or int4 (by group)")
      .option("--group-size <n>", "of onnx with int4: 32, 64 or 128 columns share a scale (default: 128)", Number)
      .option("--include-head", "of onnx with --quantize: the head too; a tied one then stands beside the embedding")
      .option("--external-data", "of onnx: weights in model.onnx_data (default: when they are more than 512 MB)");
  },
  run: async (checkpoint, values, controls) => {
    const { exportOnnx } = await import("./export.js");
    const given = flags.filter((flag) => values[flag] !== undefined);
    const options = Object.fromEntries(given.map((flag) => [flag, values[flag]])) as OnnxOptions;
    return exportOnnx(checkpoint, requiredOut(values), options, controls);
  },
  describe: (report) => {
    const { path, files, dequantized } = report as OnnxExportResult;
    const floats =
      dequantized.length === 0
        ? []
        : [`  ${dequantized.length} quantized weights are in floats: ONNX has no such codes there`];
    return [`${path}: ${files.join(", ")}`, ...floats].join("\n");
  },
};
