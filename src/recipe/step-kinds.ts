// SPDX-License-Identifier: Apache-2.0
/** The verbs a recipe's step may be, in the order they are told. */
import type { StepKind } from "./step-kind.js";
import { benchStep } from "./steps/bench.js";
import { buildStep } from "./steps/build.js";
import { distillStep } from "./steps/distill.js";
import { evaluateStep } from "./steps/evaluate.js";
import { generateStep } from "./steps/generate.js";
import { importanceStep } from "./steps/importance.js";
import { pruneStep } from "./steps/prune.js";
import { pullStep } from "./steps/pull.js";
import { quantizeStep } from "./steps/quantize.js";
import { synthesizeStep } from "./steps/synthesize.js";
import { tokenizeStep } from "./steps/tokenize.js";
import { trainStep } from "./steps/train.js";

const rows = [
  pullStep,
  tokenizeStep,
  trainStep,
  importanceStep,
  pruneStep,
  distillStep,
  quantizeStep,
  synthesizeStep,
  buildStep,
  evaluateStep,
  benchStep,
  generateStep,
];

export const stepKinds: ReadonlyMap<string, StepKind> = new Map(rows.map((row) => [row.verb, row]));
