// SPDX-License-Identifier: Apache-2.0
/** export --to hf: a Hugging Face directory. */
import { exportHuggingFace, type ExportResult } from "../checkpoint/index.js";
import { requiredOut, type ExportTarget } from "./target.js";

export const huggingFaceTarget: ExportTarget = {
  id: "hf",
  help: "a Hugging Face directory that transformers loads, in --dtype",
  flags: ["dtype"],
  run: (checkpoint, flags, { signal, onProgress }) =>
    exportHuggingFace(checkpoint, requiredOut(flags), { dtype: flags.dtype ?? "f32", signal, onProgress }),
  describe: (report) => `${report.path}: ${(report as ExportResult).files.join(", ")}`,
};
