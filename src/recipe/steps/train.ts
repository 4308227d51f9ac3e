// SPDX-License-Identifier: Apache-2.0
import { join } from "node:path";
import { resolveTrainOptions, train, trainOptionNames, type TrainOptions } from "../../train/index.js";
import { stepKind } from "../step-kind.js";

/** The runner's own: a run of other options is put aside, the same one goes on. */
const RUNNERS = new Set(["out", "resume", "overwrite"]);

/** A model trained, or corrected: RUN/NAME is the run, RUN/NAME/model the model. */
export const trainStep = stepKind({
  verb: "train",
  options: trainOptionNames.filter((name) => !RUNNERS.has(name)),
  paths: {
    model: ["model"],
    config: [],
    tokenizer: ["model"],
    data: ["data", "text"],
    teacher: ["model"],
    teacherLogits: [],
  },
  makes: "model",
  resumesInPlace: true,
  product: (directory) => join(directory, "model"),
  parse: (given, directory) => {
    const options = { ...given, out: directory } as TrainOptions;
    resolveTrainOptions(options);
    return options;
  },
  run: async (options, { signal, onProgress }) => {
    const result = await train(options, {
      ...(signal === undefined ? {} : { signal }),
      onProgress: (event) => onProgress({ verb: "train", event }),
    });
    return { product: result.model, outcome: result };
  },
});
