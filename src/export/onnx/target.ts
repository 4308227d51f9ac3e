// SPDX-License-Identifier: Apache-2.0
/** export --to onnx: a directory with model.onnx. */
import { requiredOut, type ExportTarget } from "../target.js";
import type { OnnxOptions } from "./config.js";
import type { OnnxExportResult } from "./export.js";

export const onnxTarget: ExportTarget = {
  id: "onnx",
  help: "a directory whose model.onnx has a key-value cache, for onnxruntime, transformers.js or TensorRT, in --dtype",
  flags: ["dtype", "quantize", "groupSize", "externalData"],
  addFlags: (command) => {
    command
      .option("--quantize <kind>", "of onnx: weights of the layers as int8, fp8 (both by channel) or int4 (by group)")
      .option("--group-size <n>", "of onnx with int4: 32, 64 or 128 columns share a scale (default: 128)", Number)
      .option("--external-data", "of onnx: weights in model.onnx_data (default: when they are more than 512 MB)");
  },
  run: async (checkpoint, flags, controls) => {
    const { exportOnnx } = await import("./export.js");
    const given = ["dtype", "quantize", "groupSize", "externalData"].filter((flag) => flags[flag] !== undefined);
    const options = Object.fromEntries(given.map((flag) => [flag, flags[flag]])) as OnnxOptions;
    return exportOnnx(checkpoint, requiredOut(flags), options, controls);
  },
  describe: (report) => {
    const { path, files, dequantized } = report as OnnxExportResult;
    const floats =
      dequantized.length === 0 ? [] : [`  ONNX does not hold the codes of ${dequantized.length} weights: dequantized`];
    return [`${path}: ${files.join(", ")}`, ...floats].join("\n");
  },
};
