// SPDX-License-Identifier: Apache-2.0
import {
  importanceOptionNames,
  measureImportance,
  resolveImportanceOptions,
  type ImportanceOptions,
} from "../../importance/index.js";
import { stepKind } from "../step-kind.js";

/** Scores of a model's channels, heads and layers. */
export const importanceStep = stepKind({
  verb: "importance",
  options: importanceOptionNames.filter((name) => name !== "out"),
  paths: ["model", "data"],
  parse: (given, directory) => {
    const options = { ...given, out: directory } as unknown as ImportanceOptions;
    resolveImportanceOptions(options);
    return options;
  },
  run: async (options, { directory, signal, onProgress }) => {
    const report = await measureImportance(options, {
      ...(signal === undefined ? {} : { signal }),
      onProgress: (event) => onProgress({ verb: "importance", event }),
    });
    return {
      product: directory,
      outcome: { samples: report.samples, seqLength: report.seqLength, seconds: report.seconds },
    };
  },
});
