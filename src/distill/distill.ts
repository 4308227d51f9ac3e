// SPDX-License-Identifier: Apache-2.0
/**
 * distill: train a student on its teacher's outputs, with Minitron's policy for what is compared.
 */
import { z } from "zod";
import { openCheckpoint } from "../checkpoint/index.js";
import { EspalierError } from "../errors.js";
import { parseFields } from "../model/parse-fields.js";
import {
  resolveTrainOptions,
  train,
  trainOptionNames,
  type TrainHooks,
  type TrainOptions,
  type TrainResult,
} from "../train/index.js";

export const lossPolicies = ["auto", "logits", "logits+intermediate"] as const;
export type LossPolicy = (typeof lossPolicies)[number];

type Shared = Omit<TrainOptions, "model" | "config" | "tokenizer" | "teacher">;

export interface DistillOptions extends Shared {
  /** Model directory or GGUF file that is trained: a pruned model, as a rule. */
  student: string;
  /** Model directory or GGUF file that is learned from. */
  teacher: string;
  /**
   * What is compared: the logits, or hidden states and embeddings besides. Default: auto, hidden states as well when the
   * student has at most 70 % of the teacher's layers ("LLM Pruning and Distillation in Practice", arXiv 2408.11796).
   */
  loss?: LossPolicy;
}

/** A cut of the layers by this part or more takes hidden states as well. */
const DEPTH_CUT = 0.3;

/** Minitron's: arXiv 2408.11796, table 4. */
export const distillDefaults = { lr: 1e-4, minLr: 1e-5, warmup: 40 } as const;

const ownSchema = z.object({
  student: z.string().min(1),
  teacher: z.string().min(1),
  loss: z.enum(lossPolicies).default("auto"),
});

/** Options of `train` that a student has of its own. */
const NOT_HERE: readonly string[] = ["model", "config", "tokenizer"];

/** Names of the options. */
export const distillOptionNames = [
  ...Object.keys(ownSchema.shape),
  ...trainOptionNames.filter((name) => !NOT_HERE.includes(name) && !(name in ownSchema.shape)),
];

/** What can be checked before the models are there. ERR_ARGUMENT. */
export function checkDistillOptions(given: DistillOptions): void {
  const { student, teacher } = parseFields(ownSchema, given, { code: "ERR_ARGUMENT", where: "distill" });
  const { student: _student, loss: _loss, ...shared } = given;
  resolveTrainOptions({ ...scheduleOf(shared), ...shared, model: student, teacher });
}

/**
 * A run of `train` with the teacher's logits (forward KL, temperature 1) and, by policy, hidden states as its loss. The same
 * call again goes on where it stopped. ERR_ARGUMENT: vocabularies that differ.
 *
 * @example
 * await distill({ student: "pruned", teacher: "models/teacher", data: "corpus", steps: 400, out: "runs/student" });
 */
export async function distill(given: DistillOptions, hooks: TrainHooks = {}): Promise<TrainResult> {
  return train(await trainOptionsOf(given), hooks);
}

/** What `train` is called with. */
export async function trainOptionsOf(given: DistillOptions): Promise<TrainOptions> {
  const { student, teacher, loss } = parseFields(ownSchema, given, { code: "ERR_ARGUMENT", where: "distill" });
  const { student: _student, loss: _loss, ...shared } = given;
  for (const name of NOT_HERE)
    if (name in shared) throw new EspalierError("ERR_ARGUMENT", `distill: ${name}: expected student and teacher only`);
  const schedule = scheduleOf(shared);
  const options = { ...schedule, ...shared, model: student, teacher };
  const intermediate = loss === "auto" ? await cutsDepth(student, teacher) : loss === "logits+intermediate";
  if (loss === "logits" && shared.intermediateLoss !== undefined)
    throw new EspalierError(
      "ERR_ARGUMENT",
      "distill: intermediateLoss: the loss is logits alone; expected logits+intermediate or auto beside it",
    );
  return intermediate ? { intermediateLoss: "cosine", ...options } : options;
}

/** Minitron's rates; a run shorter than the warm-up warms up for a tenth of it. */
function scheduleOf({ lr, steps }: Partial<Shared>): Partial<TrainOptions> {
  const { warmup, ...rates } = distillDefaults;
  const short = typeof steps === "number" && steps < 10 * warmup ? Math.floor(steps / 10) : warmup;
  return { ...(lr === undefined ? rates : {}), warmup: short };
}

async function cutsDepth(student: string, teacher: string): Promise<boolean> {
  await using small = await openCheckpoint(student);
  await using large = await openCheckpoint(teacher);
  return small.spec.numLayers <= (1 - DEPTH_CUT) * large.spec.numLayers;
}
