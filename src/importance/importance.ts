// SPDX-License-Identifier: Apache-2.0
/**
 * measureImportance: which channels, heads and layers of a model matter, from forward passes over calibration data.
 */
import { basename } from "node:path";
import { throwIfAborted } from "../abort.js";
import { runCalibrationPass, type CalibrationProgress, type TapRequest } from "../calibrate/index.js";
import { fingerprintOf, openWhole, type Checkpoint } from "../checkpoint/index.js";
import { openGptDataset } from "../data/index.js";
import { EspalierError } from "../errors.js";
import { writeDirectoryResumably } from "../files/atomic-directory.js";
import { tokenizerFingerprint } from "../tokenizer/index.js";
import { tokenizerOf } from "../train/parts.js";
import { axisScores, blockImportance, type BlockStatistics } from "./aggregate.js";
import {
  blockSizes,
  resolveImportanceOptions,
  type ImportanceOptions,
  type ResolvedImportanceOptions,
} from "./config.js";
import { measureLayerLosses, type LayerLosses } from "./layer-losses.js";
import { writeImportanceReport } from "./report.js";
import { writeScores, type ImportanceManifest } from "./scores.js";

export type ImportanceProgress =
  | { kind: "indexing"; done: number; total: number }
  | CalibrationProgress
  /** Forward passes without a block of layers. */
  | { kind: "losses"; done: number; total: number };

export interface ImportanceHooks {
  signal?: AbortSignal;
  onProgress?: (progress: ImportanceProgress) => void;
}

export interface ImportanceReport extends ImportanceManifest {
  directory: string;
  seconds: number;
}

/** With sizes of blocks. */
type RunOptions = ResolvedImportanceOptions & { layerBlocks: number[] };

interface Samples {
  /** [samples, length] */
  tokens: Int32Array;
  labels: Int32Array;
  length: number;
  fingerprint: string;
}

const DEFAULT_LENGTH = 512;
const LOSS_BATCH_TOKENS = 2048;

const requests = [
  { tap: "attention_input", statistic: "moments" },
  { tap: "mlp_input", statistic: "moments" },
  { tap: "attention_output", statistic: "moments" },
  { tap: "mlp_product", statistic: "moments" },
  { tap: "block_output", statistic: "cosine" },
] as const satisfies readonly TapRequest[];

/**
 * Writes a directory of scores (importance.json, scores.safetensors) that `prune` takes for any target. Started again
 * after it was stopped, it goes on where it was. ERR_ARGUMENT, ERR_DATA_*, ERR_OUTPUT_EXISTS.
 *
 * @example
 * await measureImportance({ model: "models/teacher", data: "corpus", samples: 1024, out: "scores" });
 */
export async function measureImportance(
  given: ImportanceOptions,
  hooks: ImportanceHooks = {},
): Promise<ImportanceReport> {
  const started = performance.now();
  const options = resolveImportanceOptions(given);
  const model = await openWhole(options.model);
  try {
    const length = lengthOf(options, model);
    const run = { ...options, layerBlocks: blockSizes(options, model.spec.numLayers) };
    let manifest: ImportanceManifest | null = null;
    await writeDirectoryResumably(
      options.out,
      async (staging) => {
        const samples = await takeSamples(options, model, length, hooks);
        manifest = await measure(run, model, samples, staging, hooks);
        if (options.plot) await writeImportanceReport(staging);
      },
      { signal: hooks.signal },
    );
    return { ...manifest!, directory: options.out, seconds: (performance.now() - started) / 1000 };
  } finally {
    model.close();
  }
}

function lengthOf({ seqLength }: ResolvedImportanceOptions, { spec, path }: Checkpoint): number {
  const length = seqLength ?? Math.min(DEFAULT_LENGTH, spec.maxPositions);
  if (length <= spec.maxPositions) return length;
  throw new EspalierError(
    "ERR_ARGUMENT",
    `importance: seqLength: expected at most the ${spec.maxPositions} positions of ${path}, found ${length}`,
  );
}

async function takeSamples(
  options: ResolvedImportanceOptions,
  model: Checkpoint,
  length: number,
  { signal, onProgress }: ImportanceHooks,
): Promise<Samples> {
  const tokenizer = tokenizerOf(model);
  await using data = await openGptDataset({
    data: options.data,
    sequenceLength: length,
    split: options.split,
    seed: options.seed,
    samples: { train: options.samples, validation: 0, test: 0 },
    vocabSize: model.spec.vocabSize,
    ...(tokenizer === null ? {} : { tokenizerFingerprint: await tokenizerFingerprint(tokenizer) }),
    ...(signal === undefined ? {} : { signal }),
    onProgress: ({ done, total }) => onProgress?.({ kind: "indexing", done, total }),
  });
  const tokens = new Int32Array(options.samples * length);
  const labels = new Int32Array(options.samples * length);
  for (let i = 0; i < options.samples; ++i) {
    if (i % 64 === 0) throwIfAborted(signal);
    const sample = await data.train.sample(i);
    tokens.set(sample.tokens, i * length);
    labels.set(sample.labels, i * length);
  }
  return { tokens, labels, length, fingerprint: data.fingerprint };
}

async function measure(
  options: RunOptions,
  model: Checkpoint,
  samples: Samples,
  staging: string,
  hooks: ImportanceHooks,
): Promise<ImportanceManifest> {
  const statistics = await runCalibrationPass({
    model,
    tokens: samples.tokens,
    length: samples.length,
    taps: requests,
    directory: staging,
    ...(options.batchSize === undefined ? {} : { maxBatch: options.batchSize }),
    ...(options.threads === undefined ? {} : { threads: options.threads }),
    isa: options.isa,
    ...hooks,
  });
  const blocks = statistics.map(blockOf);
  const loss = await layerLosses(options, model, samples, hooks);
  const manifest = await manifestOf(options, model, samples, blocks, loss);
  const scoresOf = (aggregation: Parameters<typeof axisScores>[3]) =>
    axisScores(blocks, model.spec, options.samples, aggregation);
  await writeScores(staging, { manifest, scoresOf });
  return manifest;
}

/** In the order of `requests`. */
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
  options: RunOptions,
  model: Checkpoint,
  { tokens, labels, length }: Samples,
  { signal, onProgress }: ImportanceHooks,
): Promise<LayerLosses | null> {
  const count = Math.min(options.lossSamples, options.samples) * length;
  if (count === 0 || options.layerBlocks.length === 0) return null;
  return measureLayerLosses({
    model,
    tokens: tokens.subarray(0, count),
    labels: labels.subarray(0, count),
    length,
    sizes: options.layerBlocks,
    batchSize: Math.max(1, Math.floor(LOSS_BATCH_TOKENS / length)),
    threads: options.threads ?? 0,
    isa: options.isa,
    signal,
    onProgress: (done, total) => onProgress?.({ kind: "losses", done, total }),
  });
}

async function manifestOf(
  options: ResolvedImportanceOptions,
  model: Checkpoint,
  samples: Samples,
  blocks: readonly BlockStatistics[],
  loss: LayerLosses | null,
): Promise<ImportanceManifest> {
  const { spec } = model;
  const importance = (first: boolean): number[] => [...blockImportance(blocks, options.samples, first)];
  const lossSamples = loss === null ? 0 : Math.min(options.lossSamples, options.samples);
  return {
    format: 1,
    model: {
      name: basename(model.path),
      fingerprint: await fingerprintOf(model),
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
  };
}
