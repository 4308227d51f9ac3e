// SPDX-License-Identifier: Apache-2.0
/**
 * What a run's loss is made of: the options of its terms, and the terms for a model and its teacher.
 */
import { z } from "zod";
import { EspalierError } from "../errors.js";
import type { ModelSpec } from "../model/spec.js";
import type { LossTerm } from "./native-trainer.js";

const notNegative = z.number().min(0);
const layer = z.number().int().min(-1);

const logitKinds = {
  kl: "kl",
  "kl-tail": "kl_tail",
  mft: "mft",
  "reverse-kl": "reverse_kl",
  jsd: "jsd",
  mse: "logits_mse",
  cosine: "logits_cosine",
} as const;

const hiddenKinds = {
  mse: "hidden_mse",
  cosine: "hidden_cosine",
  squarehead: "hidden_squarehead",
} as const;

type LogitLossName = keyof typeof logitKinds;
type HiddenLossName = keyof typeof hiddenKinds;
const namesOf = <Name extends string>(kinds: Record<Name, string>): Name[] => Object.keys(kinds) as Name[];

/** Fields of the schema of training. */
export const lossFields = {
  /** Model that is learned from. */
  teacher: z.string().min(1).optional(),
  /** Instead of a teacher: a directory of its largest logits, as `distill --cache-teacher` makes it. */
  teacherLogits: z.string().min(1).optional(),
  /** Weight of the cross-entropy with the data. Default: 1, with a teacher 0. */
  ceWeight: notNegative.optional(),
  /** How the logits are compared with the teacher's. Default: kl. */
  kdLoss: z.enum(namesOf<LogitLossName>(logitKinds)).optional(),
  kdWeight: notNegative.default(1),
  /** Of both models' logits; cosine does not depend on it. */
  temperature: z.number().positive().default(1),
  /** The logits' loss is multiplied by the temperature squared, as in Hinton et al. 2015 (arXiv 1503.02531). */
  temperatureSquared: z.boolean().default(false),
  /** The teacher's largest logits compared; 0: all, of teacherLogits all that are there. */
  topK: z.number().int().min(0).default(0),
  /** jsd: the teacher's part of the mixture. Default: 0.5. */
  jsdBeta: notNegative.max(1).optional(),
  /** mft: how far the label leads in the corrected teacher. Default: 0.2. */
  mftThreshold: z.number().min(0).lt(1).optional(),
  /** How hidden states are compared with the teacher's. Default: they are not. */
  intermediateLoss: z.enum(namesOf<HiddenLossName>(hiddenKinds)).optional(),
  /** Default: 1. */
  intermediateWeight: notNegative.optional(),
  /** dynamic: scaled to the size of the logits' loss in every micro batch (Minitron's alpha). Default: dynamic. */
  intermediateBalance: z.enum(["dynamic", "static"]).optional(),
  /** Layers whose outputs are compared, [student, teacher], from 0; -1: the embedding. Default: `defaultLayerPairs`. */
  intermediateLayerPairs: z
    .array(z.tuple([layer, layer]))
    .min(1)
    .optional(),
};

type LossOptions = z.output<z.ZodObject<typeof lossFields>>;
export type ResolvedLossOptions = LossOptions & { ceWeight: number };

/** Values that runs had before the option was there: left out of what must be the same when a run is resumed. */
export const lossDefaults = { kdLoss: "kl", temperatureSquared: false } as const;

/** Model Optimizer's. */
const MFT_THRESHOLD = 0.2;

/** Defaults that depend on other options; what belongs to a loss that is not asked for stays undefined. */
export function resolveLossOptions<T extends LossOptions>(given: T): T & ResolvedLossOptions {
  checkLossOptions(given);
  const { intermediateLoss } = given;
  const kdLoss = given.kdLoss ?? lossDefaults.kdLoss;
  const taught = isTaught(given);
  return {
    ...given,
    ceWeight: given.ceWeight ?? (taught ? 0 : 1),
    ...(taught ? { kdLoss } : {}),
    ...(taught && kdLoss === "jsd" ? { jsdBeta: given.jsdBeta ?? 0.5 } : {}),
    ...(taught && kdLoss === "mft" ? { mftThreshold: given.mftThreshold ?? MFT_THRESHOLD } : {}),
    ...(intermediateLoss === undefined
      ? {}
      : {
          intermediateWeight: given.intermediateWeight ?? 1,
          intermediateBalance: given.intermediateBalance ?? "dynamic",
        }),
  };
}

const isTaught = ({ teacher, teacherLogits }: LossOptions): boolean => (teacher ?? teacherLogits) !== undefined;

function refuse(message: string): never {
  throw new EspalierError("ERR_ARGUMENT", `train: ${message}`);
}

function checkLossOptions(options: LossOptions): void {
  if (!isTaught(options)) return checkWithoutTeacher(options);
  checkTeacherLogits(options);
  const { ceWeight, kdLoss = lossDefaults.kdLoss, kdWeight, temperatureSquared, jsdBeta } = options;
  if (kdLoss !== "jsd" && jsdBeta !== undefined) refuse(`jsdBeta: only kdLoss jsd has it, found kdLoss ${kdLoss}`);
  if (kdLoss !== "mft" && options.mftThreshold !== undefined)
    refuse(`mftThreshold: only kdLoss mft has it, found kdLoss ${kdLoss}`);
  if (kdLoss === "kl-tail" && options.teacherLogits === undefined && options.topK === 0)
    refuse("topK: kdLoss kl-tail is over the teacher's largest logits and the rest; expected at least 1, found 0");
  if (kdLoss === "cosine" && temperatureSquared)
    refuse("temperatureSquared: kdLoss cosine does not depend on the temperature; use kdWeight");
  const { intermediateLoss, intermediateWeight = 1, intermediateBalance = "dynamic" } = options;
  const ofLogits = kdWeight + (ceWeight ?? 0);
  if (intermediateLoss === undefined) {
    for (const name of ["intermediateWeight", "intermediateBalance", "intermediateLayerPairs"] as const)
      if (options[name] !== undefined) refuse(`${name}: expected intermediateLoss beside it, found none`);
    if (ofLogits === 0) refuse("kdWeight, ceWeight: expected one of them above 0, found 0 and 0");
  } else if (ofLogits === 0 && intermediateWeight === 0)
    refuse("kdWeight, ceWeight, intermediateWeight: expected one of them above 0, found 0, 0 and 0");
  else if (ofLogits === 0 && intermediateBalance === "dynamic")
    refuse("intermediateBalance: dynamic scales to the logits' loss, but kdWeight and ceWeight are 0; expected static");
}

function checkTeacherLogits(options: LossOptions): void {
  const { teacher, teacherLogits, kdLoss, intermediateLoss, temperature } = options;
  if (teacherLogits === undefined) return;
  if (teacher !== undefined) refuse("teacher, teacherLogits: expected one of them, found both");
  if (intermediateLoss !== undefined)
    refuse("intermediateLoss: cached logits have no hidden states; expected a teacher, or the logits' loss alone");
  if (kdLoss === "kl-tail" && temperature !== 1)
    refuse(`temperature: kl-tail of cached logits is known at temperature 1 alone, found ${temperature}`);
  if (kdLoss === "mft")
    refuse("kdLoss: mft needs all of the teacher's logits, the cache has the largest; use a teacher");
}

function checkWithoutTeacher({ ceWeight, kdLoss, temperatureSquared, ...options }: LossOptions): void {
  const { intermediateLoss, intermediateWeight, intermediateBalance, intermediateLayerPairs } = options;
  const intermediate = { intermediateLoss, intermediateWeight, intermediateBalance, intermediateLayerPairs };
  const squared = temperatureSquared ? true : undefined;
  const { jsdBeta, mftThreshold } = options;
  const given = Object.entries({ kdLoss, temperatureSquared: squared, jsdBeta, mftThreshold, ...intermediate });
  for (const [name, value] of given)
    if (value !== undefined) refuse(`${name}: expected a teacher to compare with, found none`);
  const { temperature, topK } = options;
  if (temperature !== 1) refuse(`temperature: expected a teacher to compare with, found ${temperature} alone`);
  if (topK !== 0) refuse(`topK: expected a teacher to compare with, found ${topK} alone`);
  if (ceWeight === 0) refuse("ceWeight: expected more than 0 without a teacher, found 0");
}

/** Cross-entropy is kept at weight 0 beside a teacher's terms: it is reported. ERR_ARGUMENT: no such layer. */
export function lossTerms(options: ResolvedLossOptions, model: ModelSpec, teacher: ModelSpec | null): LossTerm[] {
  const data: LossTerm = { kind: "cross_entropy", weight: options.ceWeight };
  return teacher === null ? [data] : [data, logitTerm(options), ...hiddenTerms(options, model, teacher)];
}

/** Those over the cached logits of a teacher, `cached` of each token. ERR_ARGUMENT: more are asked for. */
export function cachedLossTerms(options: ResolvedLossOptions, cached: number): LossTerm[] {
  const { ceWeight, topK } = options;
  if (topK > cached) refuse(`topK: expected at most the ${cached} logits that the cache has, found ${topK}`);
  return [{ kind: "cross_entropy", weight: ceWeight }, logitTerm({ ...options, topK: topK === 0 ? cached : topK })];
}

function logitTerm(options: ResolvedLossOptions): LossTerm {
  const { kdLoss = lossDefaults.kdLoss, kdWeight, temperature, temperatureSquared, topK, jsdBeta } = options;
  const weight = temperatureSquared ? kdWeight * temperature ** 2 : kdWeight;
  const kind = logitKinds[kdLoss];
  if (kind === "mft") return { kind, weight, temperature, topK, threshold: options.mftThreshold ?? MFT_THRESHOLD };
  return { kind, weight, temperature, topK, ...(jsdBeta === undefined ? {} : { beta: jsdBeta }) };
}

function hiddenTerms(options: ResolvedLossOptions, model: ModelSpec, teacher: ModelSpec): LossTerm[] {
  const { intermediateLoss, intermediateWeight = 1, intermediateBalance = "dynamic" } = options;
  if (intermediateLoss === undefined) return [];
  const layers = options.intermediateLayerPairs ?? defaultLayerPairs(model.numLayers, teacher.numLayers);
  for (const [own, others] of layers)
    if (own >= model.numLayers || others >= teacher.numLayers)
      refuse(
        `intermediateLayerPairs: expected student:teacher from -1:-1 to ` +
          `${model.numLayers - 1}:${teacher.numLayers - 1}, found ${own}:${others}`,
      );
  const [kind, dynamicWeight] = [hiddenKinds[intermediateLoss], intermediateBalance === "dynamic"];
  return [{ kind, weight: intermediateWeight, layers, dynamicWeight }];
}

/**
 * [student, teacher]. Models of the same depth: every layer with its own. Otherwise the embedding and the layer two before
 * the last one, which did best in "Compact Language Models via Pruning and Knowledge Distillation" (arXiv 2407.14679),
 * table 17: more layers did not help.
 */
export function defaultLayerPairs(student: number, teacher: number): [number, number][] {
  if (student === teacher) return Array.from({ length: student }, (_, index) => [index, index]);
  const fromEnd = Math.min(3, student, teacher);
  return [
    [-1, -1],
    [student - fromEnd, teacher - fromEnd],
  ];
}
