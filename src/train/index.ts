// SPDX-License-Identifier: Apache-2.0
export { resolveTrainOptions, trainOptionNames, type ResolvedTrainOptions, type TrainOptions } from "./config.js";
export { readTrainRecipe } from "./recipe.js";
export { trainingReport, writeRunReport } from "./report.js";
export { train, type TrainHooks, type TrainProgress, type TrainResult } from "./train.js";
