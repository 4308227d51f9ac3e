// SPDX-License-Identifier: Apache-2.0
import {
  importanceOptionNames,
  measureImportance,
  resolveImportanceOptions,
  type ImportanceOptions,
} from "../../importance/index.js";
import { isRecord } from "../../json.js";
import { stepKind } from "../step-kind.js";

/** Scores of a model's channels, heads and layers. */
export const importanceStep = stepKind({
  verb: "importance",
  options: importanceOptionNames.filter((name) => name !== "out"),
  paths: { model: ["model"], data: ["data"], tasks: [] },
  makes: "scores",
  parse: (given, directory) => {
    const tasks = taskFiles(given["tasks"]);
    const options = {
      ...given,
      ...(tasks === undefined ? {} : { tasks }),
      out: directory,
    } as unknown as ImportanceOptions;
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

/** A task to its file, as `evaluate` has them; a list of {task, file} too. */
function taskFiles(value: unknown): unknown {
  return isRecord(value) ? Object.entries(value).map(([task, file]) => ({ task, file })) : value;
}
