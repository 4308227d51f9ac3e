// SPDX-License-Identifier: Apache-2.0
/**
 * prune: a smaller model out of a larger one, by width, depth or a budget of parameters.
 */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { basename, join } from "node:path";
import {
  exportHuggingFace,
  fingerprintOf,
  openWhole,
  storedDtype,
  type Checkpoint,
  type ExportProgress,
  type WeightDtype,
} from "../checkpoint/index.js";
import { readJsonObject } from "../checkpoint/strict-json.js";
import { EspalierError } from "../errors.js";
import { loadImportance, parseAggregation } from "../importance/index.js";
import { parameterCount } from "../model/families.js";
import { specFromConfig } from "../model/hf-config.js";
import type { ModelSpec } from "../model/spec.js";
import { version } from "../version.js";
import { hasBudget } from "./budget.js";
import type { Candidate } from "./candidates.js";
import { chooseShape, type ChooseHooks, type Choice } from "./choose.js";
import { isDry, pruneError, resolvePruneOptions, type PruneOptions, type ResolvedPruneOptions } from "./config.js";
import { controlNames, magnitudeScores, randomScores } from "./controls.js";
import { checkScores, type ImportanceScores } from "./scores.js";
import { select, type Selection } from "./select.js";
import { parseDropLayers, shapeOf, specWith, type Shape } from "./shape.js";
import { pruner } from "./slice.js";

export interface PruneHooks {
  signal?: AbortSignal;
  onProgress?: (progress: ExportProgress) => void;
  /** With targetLatency: a shape was measured. */
  onMeasured?: (measured: Candidate) => void;
}

export interface PruneResult {
  /** What was pruned: a model, or a config. */
  source: string;
  /** The directory made; null when nothing was written. */
  out: string | null;
  /** Of the pruned model. */
  parameters: number;
  sourceParameters: number;
  shape: Shape & { headDim: number };
  sourceShape: Shape & { headDim: number };
  /** 1-indexed, as --drop-layers takes them; null when a config alone cannot say. */
  droppedLayers: number[] | null;
  /** With a budget: best first. */
  candidates?: Candidate[];
  /** With targetLatency: milliseconds of a decode token of the source. */
  sourceLatencyMs?: number;
  files?: string[];
  weightBytes?: number;
}

/**
 * Prunes a model by importance, or resolves and counts only (`dryRun`, `configOnly`).
 *
 * @example
 * await prune({ model: "SmolLM2-135M", importance: "magnitude", ffn: "50%", hidden: 432, out: "pruned" });
 * const { parameters } = await prune({ configOnly: "config.json", dropLayers: "16-31" });
 */
export async function prune(given: PruneOptions, hooks: PruneHooks = {}): Promise<PruneResult> {
  const options = resolvePruneOptions(given);
  if (options.configOnly !== undefined) return pruneConfig(options.configOnly, options, hooks);
  await using checkpoint = await openWhole(options.model ?? "");
  const { spec } = checkpoint;
  const fingerprint = await fingerprintOf(checkpoint);
  const scores = await scoresOf(options, checkpoint, fingerprint, hooks.signal);
  const counted = { ...options, dtype: options.dtype ?? storedDtype(checkpoint) };
  const choice = await chooseShape(spec, counted, scores, chooseHooks(hooks));
  const { shape } = choice;
  const report = reportOf(spec, options, choice);
  if (options.listCandidates) return { ...report, droppedLayers: null };
  const selection = select(spec, shape, options, scores);
  const kept = new Set(selection.layers);
  report.droppedLayers = allLayers(spec).filter((layer) => !kept.has(layer - 1));
  if (options.mergeHeads && !hasBudget(options) && shape.heads === spec.numHeads)
    throw pruneError(`mergeHeads: expected fewer heads than the source's ${spec.numHeads}, found as many`);
  if (isDry(options) || options.out === undefined) return report;
  const written = await write(checkpoint, fingerprint, selection, options, report, hooks);
  return { ...report, out: options.out, ...written };
}

function chooseHooks({ signal, onMeasured }: PruneHooks): ChooseHooks {
  return { signal, ...(onMeasured === undefined ? {} : { onMeasured }) };
}

async function pruneConfig(path: string, options: ResolvedPruneOptions, hooks: PruneHooks): Promise<PruneResult> {
  const info = await stat(path).catch((error: Error) => {
    throw new EspalierError("ERR_MODEL_NOT_FOUND", `${path}: ${error.message}`);
  });
  const file = info.isDirectory() ? join(path, "config.json") : path;
  const config = await readJsonObject(file);
  const spec = specFromConfig(config, file);
  const counted = { ...options, dtype: options.dtype ?? dtypeOfConfig(config) };
  const choice = await chooseShape(spec, counted, null, chooseHooks(hooks));
  const { shape } = choice;
  const report = reportOf(spec, options, choice);
  if (options.dropLayers !== undefined)
    report.droppedLayers = parseDropLayers(options.dropLayers, spec.numLayers).map((layer) => layer + 1);
  else if (shape.layers === spec.numLayers) report.droppedLayers = [];
  return report;
}

function reportOf(
  spec: ModelSpec,
  { model, configOnly }: ResolvedPruneOptions,
  { shape: { hidden, ffn, heads, kvHeads, layers }, ...found }: Choice,
): PruneResult {
  const { headDim } = spec;
  return {
    source: model ?? configOnly ?? "",
    out: null,
    parameters: parameterCount(specWith(spec, { hidden, ffn, heads, kvHeads, layers })),
    sourceParameters: parameterCount(spec),
    shape: { hidden, ffn, heads, kvHeads, headDim, layers },
    sourceShape: { ...shapeOf(spec), headDim },
    droppedLayers: null,
    ...found,
  };
}

function allLayers(spec: ModelSpec): number[] {
  return Array.from({ length: spec.numLayers }, (_, i) => i + 1);
}

async function scoresOf(
  { importance, seed, aggregate, skipFirstPosition }: ResolvedPruneOptions,
  checkpoint: Checkpoint,
  fingerprint: string,
  signal: AbortSignal | undefined,
): Promise<ImportanceScores | null> {
  if (importance === undefined) return null;
  if (importance === "random") return randomScores(checkpoint.spec, fingerprint, seed);
  if (importance === "magnitude") return magnitudeScores(checkpoint, fingerprint, signal);
  const scores = typeof importance === "string" ? await load(importance, aggregate, !skipFirstPosition) : importance;
  checkScores(scores, checkpoint.spec, fingerprint);
  return scores;
}

async function load(directory: string, aggregate: string, firstPosition: boolean): Promise<ImportanceScores> {
  const aggregation = parseAggregation(aggregate, firstPosition);
  if (aggregation === null)
    throw pruneError(`aggregate: expected two of mean, l2 and var as in "l2,mean", found "${aggregate}"`);
  if (!existsSync(directory))
    throw pruneError(
      `importance: expected ${controlNames.join(", ")} or a directory that importance made, found "${directory}"`,
    );
  return loadImportance(directory, aggregation);
}

async function write(
  checkpoint: Checkpoint,
  fingerprint: string,
  selection: Selection,
  options: ResolvedPruneOptions,
  { shape, parameters, droppedLayers, candidates: [best] = [] }: PruneResult,
  { signal, onProgress }: PruneHooks,
): Promise<{ files: string[]; weightBytes: number }> {
  const dtype = options.dtype ?? storedDtype(checkpoint);
  const { memoryBytes, latencyMs, disturbed } = best ?? {};
  const lineage = {
    step: "prune",
    version,
    options: recorded(options, dtype),
    parent: { name: basename(checkpoint.path), format: checkpoint.format, fingerprint },
    pruned: { from: shapeOf(checkpoint.spec), to: shape, parameters, droppedLayers, memoryBytes, latencyMs, disturbed },
  };
  const spec = specWith(checkpoint.spec, shape);
  const config = prunedConfig(checkpoint, spec, selection);
  const { files, weightBytes } = await exportHuggingFace({ ...checkpoint, spec, config }, options.out ?? "", {
    dtype,
    files: { "espalier.json": lineage },
    pieces: pruner(checkpoint, selection, dtype, signal),
    ...(signal === undefined ? {} : { signal }),
    ...(onProgress === undefined ? {} : { onProgress }),
  });
  return { files, weightBytes };
}

/** As a config.json says that its weights are stored. */
function dtypeOfConfig(config: Record<string, unknown>): WeightDtype {
  const name = config["dtype"] ?? config["torch_dtype"];
  return name === "float16" ? "f16" : name === "bfloat16" ? "bf16" : "f32";
}

/** What lineage keeps of the options: no paths, and of scores only whose they are. */
function recorded(options: ResolvedPruneOptions, dtype: WeightDtype): Record<string, unknown> {
  const { model: _model, out: _out, configOnly: _config, dryRun: _dry, listCandidates: _list, ...kept } = options;
  const { importance } = options;
  const named = typeof importance === "object" ? "scores" : importance;
  return { ...kept, dtype, ...(named === undefined ? {} : { importance: named }) };
}

/** config.json of the source with the new sizes, and of lists with an entry a layer those that stay. */
function prunedConfig(
  { config, spec: source }: Checkpoint,
  spec: ModelSpec,
  { layers }: Selection,
): Record<string, unknown> {
  const perLayer = ([key, value]: [string, unknown]): [string, unknown] =>
    Array.isArray(value) && key.includes("layer") && value.length === source.numLayers
      ? [key, layers.map((layer) => value[layer] as unknown)]
      : [key, value];
  return {
    ...Object.fromEntries(Object.entries(config).map(perLayer)),
    hidden_size: spec.hiddenSize,
    intermediate_size: spec.intermediateSize,
    num_attention_heads: spec.numHeads,
    num_key_value_heads: spec.numKvHeads,
    num_hidden_layers: spec.numLayers,
    head_dim: spec.headDim,
  };
}
