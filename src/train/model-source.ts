// SPDX-License-Identifier: Apache-2.0
/**
 * Where a run's model comes from: a checkpoint to go on with, or a configuration whose weights are drawn.
 */
import { basename } from "node:path";
import { parse as parseYaml } from "yaml";
import {
  assemble,
  fingerprintOf,
  openWhole,
  OpenFiles,
  readTokenizerFiles,
  type Checkpoint,
} from "../checkpoint/index.js";
import { parseStrictJson, readTextFile } from "../checkpoint/strict-json.js";
import { EspalierError } from "../errors.js";
import { isRecord } from "../json.js";
import { expectedTensors } from "../model/families.js";
import { configFromSpec, specFromConfig } from "../model/hf-config.js";
import { matchesPattern } from "../model/name-pattern.js";
import type { ResolvedTrainOptions } from "./config.js";
import type { TrainerModel } from "./native-trainer.js";

export interface ModelSource {
  /** Without tensors when the model is new. */
  checkpoint: Checkpoint;
  /** "sha256:..." */
  fingerprint: string;
  isNew: boolean;
  /** Standard deviation of drawn weights. */
  initStd: number;
}

type SourceOptions = Pick<ResolvedTrainOptions, "model" | "config" | "tokenizer">;

/** Opens the model of `options`; the caller closes `checkpoint`. */
export async function openModelSource({ model, config, tokenizer }: SourceOptions): Promise<ModelSource> {
  const checkpoint = model === undefined ? await newModel(config ?? {}, tokenizer) : await openWhole(model);
  const std = checkpoint.config["initializer_range"];
  return {
    checkpoint,
    fingerprint: await fingerprintOf(checkpoint),
    isNew: model === undefined,
    initStd: typeof std === "number" && std > 0 ? std : 0.02,
  };
}

/** The model that is learned from; the caller closes `checkpoint`. ERR_ARGUMENT: it does not fit the student. */
export async function openTeacher(
  path: string,
  source: ModelSource,
  options: ResolvedTrainOptions,
): Promise<ModelSource> {
  const teacher = await openModelSource({ model: path, config: undefined, tokenizer: undefined });
  try {
    const [own, others] = [source.checkpoint.spec.vocabSize, teacher.checkpoint.spec.vocabSize];
    if (own !== others)
      throw new EspalierError(
        "ERR_ARGUMENT",
        `train: teacher: expected a vocabulary of ${own}, found ${others} (${path})`,
      );
    checkLength(teacher.checkpoint, options);
    return teacher;
  } catch (error) {
    teacher.checkpoint.close();
    throw error;
  }
}

/** ERR_ARGUMENT: sequences longer than the model has positions. */
export function checkLength(
  { spec, path }: Pick<Checkpoint, "spec" | "path">,
  { seqLength }: ResolvedTrainOptions,
): void {
  if (seqLength > spec.maxPositions)
    throw new EspalierError(
      "ERR_ARGUMENT",
      `train: seqLength: expected at most the ${spec.maxPositions} positions of ${path}, found ${seqLength}`,
    );
}

async function newModel(given: string | Record<string, unknown>, tokenizer: string | undefined): Promise<Checkpoint> {
  const path = typeof given === "string" ? given : "config";
  const fields = typeof given === "string" ? await readConfig(given) : given;
  const tokenizerFiles = tokenizer === undefined ? {} : await readTokenizer(tokenizer);
  const spec = specFromConfig(fields, path, tokenizerFiles.generationConfig);
  // Fields that the file leaves to defaults are written out: other programs may have other defaults.
  const config = { ...configFromSpec(spec, "float32"), ...fields };
  return assemble({ format: "safetensors", path, spec, config, tensors: new Map(), tokenizerFiles }, new OpenFiles());
}

async function readConfig(path: string): Promise<Record<string, unknown>> {
  const text = await readTextFile(path);
  const value = path.endsWith(".json") ? parseStrictJson(text, path) : readYaml(text, path);
  if (isRecord(value)) return value;
  throw new EspalierError("ERR_MODEL_CONFIG", `${path}: expected the fields of a config.json, found ${typeof value}`);
}

function readYaml(text: string, path: string): unknown {
  try {
    return parseYaml(text) as unknown;
  } catch (error) {
    throw new EspalierError("ERR_MODEL_CONFIG", `${path}: not YAML: ${(error as Error).message}`, { cause: error });
  }
}

async function readTokenizer(directory: string): Promise<Checkpoint["tokenizerFiles"]> {
  const files = await readTokenizerFiles(directory);
  if (files.tokenizerJson !== undefined) return files;
  throw new EspalierError("ERR_TOKENIZER_MISSING", `${directory}: expected a directory with a tokenizer.json`);
}

/** The model as the native trainer takes it. */
export function trainerModel({ spec, tensors }: Checkpoint): TrainerModel {
  return {
    spec,
    tensors: expectedTensors(spec).map(({ name, role, part, layer }) => {
      const place = { name, role, part, layer: layer ?? -1 };
      const stored = tensors.get(name);
      if (stored === undefined) return place;
      const { offset, sizeBytes, type, rows, cols, permuteHeads, quantized } = stored;
      const source = { offset, sizeBytes, type, rows, cols, permuteHeads };
      return { ...place, file: stored.mapped, source: quantized === undefined ? source : { ...source, quantized } };
    }),
  };
}

/** What options ask of the model that is trained; before a run directory is made. ERR_ARGUMENT. */
export function checkModelOptions(checkpoint: Checkpoint, options: ResolvedTrainOptions): void {
  const { spec, path } = checkpoint;
  checkLength(checkpoint, options);
  frozenNames(options.freeze, checkpoint);
  if (options.topK > spec.vocabSize)
    throw new EspalierError(
      "ERR_ARGUMENT",
      `train: topK: expected at most the vocabulary of ${spec.vocabSize}, found ${options.topK}`,
    );
  if (options.loraRank > spec.hiddenSize)
    throw new EspalierError(
      "ERR_ARGUMENT",
      `train: loraRank: expected at most the hidden size ${spec.hiddenSize} of ${path}, found ${options.loraRank}`,
    );
}

/** Names of the weights that the patterns name; ERR_ARGUMENT for a pattern that names none. */
export function frozenNames(patterns: readonly string[], { spec }: Checkpoint): string[] {
  const names = expectedTensors(spec).map((tensor) => tensor.name);
  for (const pattern of patterns)
    if (!names.some((name) => matchesPattern(pattern, name)))
      throw new EspalierError(
        "ERR_ARGUMENT",
        `train: freeze: the pattern "${pattern}" matches no weight of this model`,
      );
  return names.filter((name) => patterns.some((pattern) => matchesPattern(pattern, name)));
}

/** What lineage and reports call the model. */
export function sourceName({ checkpoint }: ModelSource): string {
  return basename(checkpoint.path);
}
