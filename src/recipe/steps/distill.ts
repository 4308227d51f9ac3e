// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { checkDistillOptions, distill, distillOptionNames, type DistillOptions } from "../../distill/index.js";
import { stepKind } from "../step-kind.js";

const RUNNERS = new Set(["out", "resume", "overwrite"]);

/** A student trained on its teacher's outputs: RUN/NAME is the run, RUN/NAME/model the student. */
export const distillStep = stepKind({
  verb: "distill",
  options: distillOptionNames.filter((name) => !RUNNERS.has(name)),
  paths: { student: ["model"], teacher: ["model", "engine"], data: ["data", "text"] },
  makes: "model",
  resumesInPlace: true,
  product: (directory) => join(directory, "model"),
  parse: (given, directory) => {
    const options = { ...given, out: directory } as unknown as DistillOptions;
    checkDistillOptions(options);
    return options;
  },
  run: async (options, { signal, onProgress }) => {
    const result = await distill(options, {
      ...(signal === undefined ? {} : { signal }),
      onProgress: (event) => onProgress({ verb: "distill", event }),
    });
    return { product: result.model, outcome: result };
  },
});
