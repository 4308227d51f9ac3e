// SPDX-License-Identifier: Apache-2.0
/** What a model can be exported as: a row for each target. A target's flags and work are in its own file. */
import { EspalierError } from "../errors.js";
import { ggufTarget } from "./gguf/index.js";
import { huggingFaceTarget } from "./hugging-face.js";
import { onnxTarget } from "./onnx/target.js";
import type { ExportTarget } from "./target.js";

export const exportTargets: readonly ExportTarget[] = [huggingFaceTarget, ggufTarget, onnxTarget];

/** ERR_ARGUMENT when there is none of that id. */
export function exportTarget(id: string): ExportTarget {
  const target = exportTargets.find((row) => row.id === id);
  if (target !== undefined) return target;
  const known = exportTargets.map((row) => row.id).join(", ");
  throw new EspalierError("ERR_ARGUMENT", `--to: expected one of ${known}, found "${id}"`);
}
