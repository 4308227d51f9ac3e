// SPDX-License-Identifier: Apache-2.0
/**
 * distill: train a student on its teacher's outputs, with Minitron's policy for what is compared.
 */
import { existsSync } from "node:fs";
import { z } from "zod";
import { openCheckpoint, readTokenizerFiles } from "../checkpoint/index.js";
import { readEngineManifest } from "../engine/index.js";
import { EspalierError } from "../errors.js";
import { parseFields } from "../model/parse-fields.js";
import { tokenizerFingerprint } from "../tokenizer/index.js";
import {
  resolveTrainOptions,
  train,
  trainOptionNames,
  type TrainOptions,
  type TrainProgress,
  type TrainResult,
} from "../train/index.js";
import { tokenizerOf } from "../train/parts.js";
import { isLead, joinRanks } from "../train/ranks.js";
import { TeacherLogits } from "../train/teacher-logits/index.js";
import { cacheFields, cacheTeacherLogits, type CacheProgress } from "./cache.js";
import { isEngine } from "./teacher-source.js";

export const lossPolicies = ["auto", "logits", "logits+intermediate"] as const;
export type LossPolicy = (typeof lossPolicies)[number];

type Shared = Omit<TrainOptions, "model" | "config" | "tokenizer" | "teacher" | "teacherLogits">;

export interface DistillOptions extends Shared {
  /** Model directory or GGUF file that is trained: a pruned model, as a rule. */
  student: string;
  /** Model directory or GGUF file that is learned from; with `cacheTeacher` an engine directory too, or none once it is made. */
  teacher?: string;
  /** Directory of the teacher's largest logits: made when it is not there, and learned from instead of the teacher. */
  cacheTeacher?: string;
  /** Logits it keeps of every token. Default: 128. */
  cacheTopK?: number;
  /** Bytes it may take. Default: what is free. */
  cacheDisk?: number;
  /**
   * What is compared: the logits, or hidden states and embeddings besides. Default: auto, hidden states as well when the
   * student has at most 70 % of the teacher's layers ("LLM Pruning and Distillation in Practice", arXiv 2408.11796).
   */
  loss?: LossPolicy;
}

export type DistillProgress = TrainProgress | CacheProgress;

export interface DistillHooks {
  signal?: AbortSignal;
  onProgress?: (progress: DistillProgress) => void;
}

/** A cut of the layers by this part or more takes hidden states as well. */
const DEPTH_CUT = 0.3;

/** Minitron's: arXiv 2408.11796, table 4. */
export const distillDefaults = { lr: 1e-4, minLr: 1e-5, warmup: 40 } as const;

const ownSchema = z.object({
  student: z.string().min(1),
  teacher: z.string().min(1).optional(),
  cacheTeacher: cacheFields.cacheTeacher.optional(),
  cacheTopK: cacheFields.cacheTopK,
  cacheDisk: cacheFields.cacheDisk,
  loss: z.enum(lossPolicies).default("auto"),
});
type OwnOptions = z.output<typeof ownSchema>;

/** Options of `train` that a student has of its own. */
const NOT_HERE: readonly string[] = ["model", "config", "tokenizer", "teacherLogits"];

/** Names of the options. */
export const distillOptionNames = [
  ...Object.keys(ownSchema.shape),
  ...trainOptionNames.filter((name) => !NOT_HERE.includes(name) && !(name in ownSchema.shape)),
];

/** What can be checked before the models are there. ERR_ARGUMENT. */
export function checkDistillOptions(given: DistillOptions): void {
  resolveTrainOptions(plainOptions(given, parseOwn(given)));
}

/**
 * A run of `train` with the teacher's logits (forward KL, temperature 1) and, by policy, hidden states as its loss. The same
 * call again goes on where it stopped. ERR_ARGUMENT: vocabularies that differ. With `cacheTeacher` as `cacheTeacherLogits`
 * besides.
 *
 * @example
 * await distill({ student: "pruned", teacher: "models/teacher", data: "corpus", steps: 400, out: "runs/student" });
 */
export async function distill(given: DistillOptions, hooks: DistillHooks = {}): Promise<TrainResult> {
  const options = await trainOptionsOf(given);
  const { student, teacher, cacheTeacher, cacheTopK, cacheDisk } = parseOwn(given);
  if (cacheTeacher !== undefined && teacher !== undefined) {
    if (!existsSync(cacheTeacher)) await checkTokenizers(student, teacher);
    const { model: _model, out: _out, teacherLogits: _logits, ...shared } = options;
    const cache = { teacher, cacheTeacher, ...optional({ cacheTopK, cacheDisk }) };
    const heard = isLead(joinRanks()) ? hooks : optional({ signal: hooks.signal });
    await cacheTeacherLogits({ ...shared, ...cache }, heard, { readAll: false }); // the run checks what it reads
  }
  return train(options, hooks);
}

function parseOwn(given: DistillOptions): OwnOptions {
  return parseFields(ownSchema, given, { code: "ERR_ARGUMENT", where: "distill" });
}

function refuse(message: string, hint?: string): never {
  throw new EspalierError("ERR_ARGUMENT", `distill: ${message}`, hint === undefined ? {} : { hint });
}

function optional<T extends object>(values: T): { [Name in keyof T]?: Exclude<T[Name], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

/** What `train` is called with. */
export async function trainOptionsOf(given: DistillOptions): Promise<TrainOptions> {
  const own = parseOwn(given);
  const options = plainOptions(given, own);
  checkPlaces(own);
  const { loss, cacheTeacher } = own;
  const intermediate = loss === "auto" ? await cutsDepth(own) : loss === "logits+intermediate";
  if (!intermediate) return options;
  if (cacheTeacher !== undefined)
    refuse(
      loss === "auto"
        ? "loss: 30 % of the layers or more were cut, where auto compares hidden states, which cached logits do not have"
        : "loss: cached logits have no hidden states",
      "Say --loss logits, or learn from the teacher itself: leave --cache-teacher out.",
    );
  return { intermediateLoss: "cosine", ...options };
}

/** Options of `train`, as far as they do not depend on what the models are. */
function plainOptions(given: DistillOptions, own: OwnOptions): TrainOptions {
  const { student, teacher, cacheTeacher, cacheTopK, cacheDisk, loss, ...shared } = { ...given, ...own };
  for (const name of NOT_HERE) if (name in shared) refuse(`${name}: expected student and teacher only`);
  if (loss === "logits" && shared.intermediateLoss !== undefined)
    refuse("intermediateLoss: the loss is logits alone; expected logits+intermediate or auto beside it");
  if (cacheTeacher === undefined && teacher === undefined)
    refuse("teacher: expected a model to learn from, found none");
  const lacking = cacheTeacher === undefined ? "cacheTeacher" : "a teacher";
  if (cacheTeacher === undefined || teacher === undefined)
    for (const [name, value] of Object.entries({ cacheTopK, cacheDisk }))
      if (value !== undefined) refuse(`${name}: expected ${lacking} beside it, found none`);
  const learned = cacheTeacher === undefined ? { teacher: teacher! } : { teacherLogits: cacheTeacher };
  return { ...scheduleOf(shared), ...shared, model: student, ...learned };
}

/** Whether what is learned from is there, and of a kind that can be. */
function checkPlaces({ teacher, cacheTeacher }: OwnOptions): void {
  if (cacheTeacher === undefined && teacher !== undefined && isEngine(teacher))
    refuse(
      `teacher: expected a model, found the engine ${teacher}`,
      "An engine's logits can be learned from through a cache: give --cache-teacher DIR.",
    );
  if (cacheTeacher !== undefined && teacher === undefined && !existsSync(cacheTeacher))
    refuse(`teacher: expected one to make ${cacheTeacher} of, which is not there yet, found none`);
}

/** Minitron's rates; a run shorter than the warm-up warms up for a tenth of it. */
function scheduleOf({ lr, steps }: Partial<Shared>): Partial<TrainOptions> {
  const { warmup, ...rates } = distillDefaults;
  const short = typeof steps === "number" && steps < 10 * warmup ? Math.floor(steps / 10) : warmup;
  return { ...(lr === undefined ? rates : {}), warmup: short };
}

async function cutsDepth({ student, teacher, cacheTeacher }: OwnOptions): Promise<boolean> {
  await using small = await openCheckpoint(student);
  return small.spec.numLayers <= (1 - DEPTH_CUT) * (await layersOf(teacher, cacheTeacher));
}

async function layersOf(teacher: string | undefined, cacheTeacher: string | undefined): Promise<number> {
  if (teacher === undefined) return (await TeacherLogits.open(cacheTeacher!)).manifest.teacher.layers;
  if (isEngine(teacher)) return (await readEngineManifest(teacher)).spec.numLayers;
  await using large = await openCheckpoint(teacher);
  return large.spec.numLayers;
}

/** Before a long pass over the data, what would make it useless. */
async function checkTokenizers(student: string, teacher: string): Promise<void> {
  const [own, others] = await Promise.all([student, teacher].map(vocabularyOf));
  if (own!.size !== others!.size)
    refuse(`teacher: expected a vocabulary of ${own!.size}, found ${others!.size} (${teacher})`);
  if (own!.tokenizer !== null && others!.tokenizer !== null && own!.tokenizer !== others!.tokenizer)
    refuse(`teacher: expected the tokenizer ${own!.tokenizer}, found ${others!.tokenizer} (${teacher})`);
}

async function vocabularyOf(path: string): Promise<{ size: number; tokenizer: string | null }> {
  if (isEngine(path)) {
    const { spec } = await readEngineManifest(path);
    const source = tokenizerOf({ tokenizerFiles: await readTokenizerFiles(path) });
    return { size: spec.vocabSize, tokenizer: source === null ? null : await tokenizerFingerprint(source) };
  }
  await using model = await openCheckpoint(path);
  const source = tokenizerOf(model);
  return { size: model.spec.vocabSize, tokenizer: source === null ? null : await tokenizerFingerprint(source) };
}
