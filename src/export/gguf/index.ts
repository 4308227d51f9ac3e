// SPDX-License-Identifier: Apache-2.0
/** export --to gguf: one file that llama.cpp loads. */
import { Option } from "commander";
import type { ExportTarget } from "../target.js";
import { exportGguf, modelName, type GgufExportResult } from "./export-gguf.js";
import { ggufFileTypes } from "./tensor-types.js";

export { exportGguf, type GgufExportOptions, type GgufExportResult } from "./export-gguf.js";

const types = ggufFileTypes.map((type) => type.id);

export const ggufTarget: ExportTarget = {
  id: "gguf",
  help: "a GGUF file that llama.cpp loads, in --type",
  flags: ["type", "pure", "pre"],
  addFlags: (command) =>
    command
      .addOption(new Option("--type <type>", "of gguf: what matrices are stored in (default: f16)").choices(types))
      .option("--pure", "of gguf: the same type for every matrix, where llama-quantize gives some more bits")
      .option("--pre <name>", "of gguf: the pre-tokenizer's name, where it is not recognized"),
  run: async (checkpoint, flags, { signal, onProgress, warn }) => {
    const type = typeof flags["type"] === "string" ? flags["type"] : "f16";
    const report = await exportGguf(checkpoint, flags.out ?? `${modelName(checkpoint.path)}-${type}.gguf`, {
      type,
      pure: flags["pure"] === true,
      ...(typeof flags["pre"] === "string" ? { pre: flags["pre"] } : {}),
      signal,
      onProgress,
    });
    for (const text of [...report.warnings, ...fallbackLines(report)]) warn(text);
    return report;
  },
  describe: (report) => {
    const { path, sizeBytes, tensors } = report as GgufExportResult;
    const counts = Object.entries(tensors).map(([type, count]) => `${count} ${type}`);
    return `${path}: ${(sizeBytes / 1e6).toFixed(1)} MB, tensors: ${counts.join(", ")}`;
  },
};

/** One line for each pair of types. */
function fallbackLines({ fallbacks }: GgufExportResult): string[] {
  const counts = new Map<string, number>();
  for (const { wanted, type } of fallbacks) {
    const pair = `written as ${type}: their rows are no multiple of ${wanted}'s block`;
    counts.set(pair, (counts.get(pair) ?? 0) + 1);
  }
  return [...counts].map(([pair, count]) => `${count} ${count === 1 ? "tensor" : "tensors"} ${pair}`);
}
