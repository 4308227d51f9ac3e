// SPDX-License-Identifier: Apache-2.0
/**
 * measureImportance: which channels, heads and layers of a model matter, from forward passes over calibration data.
 */
import { rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { runCalibrationPass, type CalibrationProgress, type TapRequest } from "../calibrate/index.js";
import { fingerprintOf, openWhole, type Checkpoint } from "../checkpoint/index.js";
import { EspalierError } from "../errors.js";
import { readTasks, type LoadedTask } from "../evaluate/index.js";
import { makeDirectory } from "../files/atomic-directory.js";
import { writeDirectoryAlone } from "../files/own-directory.js";
import { tokenizerOf } from "../train/parts.js";
import { axisScores, blockImportance, type BlockStatistics } from "./aggregate.js";
import {
  blockSizes,
  resolveImportanceOptions,
  type ImportanceOptions,
  type ResolvedImportanceOptions,
} from "./config.js";
import { Journal } from "./journal.js";
import { measureLayerLosses, type LayerLosses } from "./layer-losses.js";
import { writeImportanceReport } from "./report.js";
import { lengthOf, takeSamples, type Samples } from "./samples.js";
import { writeScores, type ImportanceManifest } from "./scores.js";
import { measureTaskScores, type TaskScores } from "./task-scores.js";

export type ImportanceProgress =
  | { kind: "indexing"; done: number; total: number }
  | CalibrationProgress
  /** Forward passes without a block of layers. */
  | { kind: "losses"; done: number; total: number }
  /** Documents of tasks, without a block of layers each time. */
  | { kind: "tasks"; done: number; total: number };

export interface ImportanceHooks {
  signal?: AbortSignal;
  onProgress?: (progress: ImportanceProgress) => void;
}

export interface ImportanceReport extends ImportanceManifest {
  directory: string;
  seconds: number;
}

/** What a run works with. */
interface Run {
  options: ResolvedImportanceOptions & { layerBlocks: number[] };
  model: Checkpoint;
  fingerprint: string;
  tasks: LoadedTask[];
  samples: Samples;
  /** The directory that is filled. */
  staging: string;
  /** In it: what is only needed until the scores are written. */
  work: string;
  hooks: ImportanceHooks;
}

const LOSS_BATCH_TOKENS = 2048;

/** What is measured, in the order of `blockOf`. */
export const importanceTaps = [
  { tap: "attention_input", statistic: "moments" },
  { tap: "mlp_input", statistic: "moments" },
  { tap: "attention_output", statistic: "moments" },
  { tap: "mlp_product", statistic: "moments" },
  { tap: "block_output", statistic: "cosine" },
] as const satisfies readonly TapRequest[];

/**
 * Writes a directory of scores (importance.json, scores.safetensors) that `prune` takes for any target. Started again
 * after it was stopped, it goes on where it was. ERR_ARGUMENT, ERR_DATA_*, ERR_TASK_*, ERR_OUTPUT_EXISTS, ERR_RUN_BUSY.
 *
 * @example
 * await measureImportance({ model: "models/teacher", data: "corpus", samples: 1024, out: "scores" });
 */
export async function measureImportance(
  given: ImportanceOptions,
  hooks: ImportanceHooks = {},
): Promise<ImportanceReport> {
  const started = performance.now();
  const resolved = resolveImportanceOptions(given);
  await using model = await openWhole(resolved.model);
  const length = lengthOf(resolved, model);
  const options = { ...resolved, layerBlocks: blockSizes(resolved, model.spec.numLayers) };
  const tasks = await tasksOf(options, model);
  let manifest: ImportanceManifest | null = null;
  await writeDirectoryAlone(
    options.out,
    { signal: hooks.signal, busy: `${options.out}: another process measures it` },
    async (staging) => {
      const work = join(staging, "work");
      await makeDirectory(work);
      const samples = await takeSamples(options, model, length, hooks.signal, (done, total) =>
        hooks.onProgress?.({ kind: "indexing", done, total }),
      );
      const fingerprint = await fingerprintOf(model);
      manifest = await measure({ options, model, fingerprint, tasks, samples, staging, work, hooks });
      if (options.plot) await writeImportanceReport(staging);
      await rm(work, { recursive: true });
    },
  );
  return { ...manifest!, directory: options.out, seconds: (performance.now() - started) / 1000 };
}

/** Files are read before anything is measured: what is wrong with them shows at once. */
async function tasksOf({ tasks }: ResolvedImportanceOptions, model: Checkpoint): Promise<LoadedTask[]> {
  if (tasks.length > 0 && tokenizerOf(model) === null)
    throw new EspalierError("ERR_TOKENIZER_MISSING", `${model.path} has no tokenizer: tasks are text`);
  return readTasks(tasks);
}

async function measure(run: Run): Promise<ImportanceManifest> {
  const { options, model, samples, staging, work, hooks } = run;
  const statistics = await runCalibrationPass({
    model,
    tokens: samples.tokens,
    length: samples.length,
    taps: importanceTaps,
    directory: work,
    keepProgress: true,
    ...(options.batchSize === undefined ? {} : { maxBatch: options.batchSize }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    isa: options.isa,
    ...hooks,
  });
  const blocks = statistics.map(blockOf);
  const journal = await Journal.open(join(work, "layers.jsonl"));
  const loss = await layerLosses(run, journal);
  const tasks = await taskScores(run, journal);
  const manifest = manifestOf(run, blocks, loss, tasks);
  const scoresOf = (aggregation: Parameters<typeof axisScores>[3]) =>
    axisScores(blocks, model.spec, options.samples, aggregation);
  await writeScores(staging, { manifest, scoresOf });
  return manifest;
}

/** In the order of `importanceTaps`. */
function blockOf(values: readonly Float64Array[]): BlockStatistics {
  const [attentionInput, mlpInput, attentionOutput, mlpProduct, cosine] = values;
  return {
    attentionInput: attentionInput!,
    mlpInput: mlpInput!,
    attentionOutput: attentionOutput!,
    mlpProduct: mlpProduct!,
    cosine: cosine!,
  };
}

async function layerLosses(
  { options, model, fingerprint, samples, hooks }: Run,
  journal: Journal,
): Promise<LayerLosses | null> {
  const { tokens, labels, length } = samples;
  const count = Math.min(options.lossSamples, options.samples) * length;
  if (count === 0 || options.layerBlocks.length === 0) return null;
  return measureLayerLosses({
    model,
    fingerprint,
    tokens: tokens.subarray(0, count),
    labels: labels.subarray(0, count),
    length,
    sizes: options.layerBlocks,
    batchSize: Math.max(1, Math.floor(LOSS_BATCH_TOKENS / length)),
    journal,
    threads: options.threads ?? 0,
    isa: options.isa,
    signal: hooks.signal,
    onProgress: (done, total) => hooks.onProgress?.({ kind: "losses", done, total }),
  });
}

async function taskScores(
  { options, model, fingerprint, tasks, work, hooks }: Run,
  journal: Journal,
): Promise<TaskScores[]> {
  if (tasks.length === 0) return [];
  return measureTaskScores({
    model: options.model,
    fingerprint,
    numLayers: model.spec.numLayers,
    tasks,
    limit: options.tasksLimit,
    fewShot: options.fewShot,
    sizes: options.layerBlocks,
    directory: work,
    journal,
    threads: options.threads,
    isa: options.isa,
    signal: hooks.signal,
    onProgress: (done, total) => hooks.onProgress?.({ kind: "tasks", done, total }),
  });
}

function manifestOf(
  { options, model: { path, spec }, fingerprint, samples }: Run,
  blocks: readonly BlockStatistics[],
  loss: LayerLosses | null,
  tasks: TaskScores[],
): ImportanceManifest {
  const importance = (first: boolean): number[] => [...blockImportance(blocks, options.samples, first)];
  const lossSamples = loss === null ? 0 : Math.min(options.lossSamples, options.samples);
  return {
    format: 1,
    model: {
      name: basename(path),
      fingerprint,
      layers: spec.numLayers,
      hidden: spec.hiddenSize,
      ffn: spec.intermediateSize,
      heads: spec.numHeads,
      kvHeads: spec.numKvHeads,
    },
    data: samples.fingerprint,
    samples: options.samples,
    seqLength: samples.length,
    seed: options.seed,
    split: options.split,
    blockImportance: { all: importance(true), withoutFirstPosition: importance(false) },
    loss: {
      samples: lossSamples,
      tokens: lossSamples * samples.length,
      whole: loss?.whole ?? null,
      without: loss?.without ?? [],
    },
    tasks,
  };
}
