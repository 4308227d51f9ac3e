// SPDX-License-Identifier: Apache-2.0
/**
 * runCalibrationPass: samples go through a model block by block, and statistics are gathered on the way.
 */
import { join } from "node:path";
import { throwIfAborted } from "../abort.js";
import { binding } from "../binding.js";
import { fingerprintOf, type Checkpoint } from "../checkpoint/index.js";
import { toEspalierError } from "../errors.js";
import { usableMemoryBytes } from "../memory.js";
import { parameterCount } from "../model/families.js";
import { trainerModel } from "../train/model-source.js";
import type { NativeCalibrator, TapRequest } from "./native-calibrator.js";
import { passSignature, readProgress, removeProgress, writeProgress } from "./progress-files.js";

export interface CalibrationOptions {
  /** With all its weights. */
  model: Checkpoint;
  /** [samples, length] token ids. */
  tokens: Int32Array;
  length: number;
  taps: readonly TapRequest[];
  /** A directory of this pass: progress is kept there, and hidden states that do not fit into memory. */
  directory: string;
  /** Samples worked on at once. Default: about 4,096 tokens of them. */
  maxBatch?: number;
  /** Hidden states beyond so many bytes go to a file. Default: a quarter of the memory. */
  stateMemoryBytes?: number;
  /** Leave the statistics of the finished pass in `directory`: the same call again takes them. Default: false. */
  keepProgress?: boolean;
  /** Seconds between saves of the progress. Default: 60. */
  saveSeconds?: number;
  threads?: number;
  isa?: string;
  signal?: AbortSignal;
  onProgress?: (progress: CalibrationProgress) => void;
}

export type CalibrationProgress =
  | ({ kind: "plan" } & CalibrationPlan)
  | { kind: "resumed"; blocks: number }
  /** Tokens through blocks. */
  | { kind: "pass"; layer: number; done: number; total: number };

/** What a pass takes, known before it starts. */
export interface CalibrationPlan {
  samples: number;
  tokens: number;
  layers: number;
  /** Hidden states of all samples. */
  statesBytes: number;
  /** false: they are kept in a file. */
  statesInMemory: boolean;
  /** The largest block's weights in float32. */
  blockBytes: number;
}

const BATCH_TOKENS = 4096;
const SAVE_SECONDS = 60;
/** Saving may take this part of the time. */
const SAVE_SHARE = 0.05;

/** [layer][request], see `StatisticKind`. Started again with the same directory after a stop, it goes on. */
export async function runCalibrationPass(options: CalibrationOptions): Promise<Float64Array[][]> {
  const plan = planCalibration(options);
  options.onProgress?.({ kind: "plan", ...plan });
  const calibrator = open(options, plan);
  try {
    return await new Pass(options, plan, calibrator).run();
  } catch (error) {
    throw toEspalierError(error);
  } finally {
    await calibrator.close();
  }
}

export function planCalibration({ model, tokens, length, stateMemoryBytes }: CalibrationOptions): CalibrationPlan {
  const { hiddenSize, numLayers } = model.spec;
  const statesBytes = tokens.length * hiddenSize * 4;
  const blocks = parameterCount(model.spec) - parameterCount({ ...model.spec, numLayers: 0 });
  return {
    samples: tokens.length / length,
    tokens: tokens.length,
    layers: numLayers,
    statesBytes,
    statesInMemory: statesBytes <= (stateMemoryBytes ?? usableMemoryBytes() / 4),
    blockBytes: (4 * blocks) / numLayers,
  };
}

function batchOf({ maxBatch, length }: CalibrationOptions): number {
  return maxBatch ?? Math.max(1, Math.floor(BATCH_TOKENS / length));
}

function open(options: CalibrationOptions, plan: CalibrationPlan): NativeCalibrator {
  try {
    return new binding.NativeCalibrator({
      model: trainerModel(options.model),
      sequences: plan.samples,
      length: options.length,
      maxBatch: batchOf(options),
      taps: options.taps,
      statesPath: plan.statesInMemory ? "" : join(options.directory, "hidden-states"),
      threads: options.threads ?? 0,
      isa: options.isa ?? "auto",
    });
  } catch (error) {
    throw toEspalierError(error);
  }
}

class Pass {
  readonly #options: CalibrationOptions;
  readonly #plan: CalibrationPlan;
  readonly #calibrator: NativeCalibrator;
  #signature = "";
  #statistics: Float64Array[][] = [];
  #savedAt = performance.now();
  #saveMs = 0;

  constructor(options: CalibrationOptions, plan: CalibrationPlan, calibrator: NativeCalibrator) {
    this.#options = options;
    this.#plan = plan;
    this.#calibrator = calibrator;
  }

  async run(): Promise<Float64Array[][]> {
    const { directory, keepProgress = false } = this.#options;
    await this.#begin();
    if (this.#statistics.length === this.#plan.layers) return this.#statistics;
    for (let layer = this.#statistics.length; layer < this.#plan.layers; ++layer) {
      await this.#calibrator.beginBlock(layer);
      await this.#eachBatch(layer, (first, count) => this.#calibrator.run(first, count));
      this.#statistics.push(await this.#calibrator.statistics());
      if (layer + 1 < this.#plan.layers) await this.#saveNowAndThen();
    }
    if (keepProgress) await writeProgress(directory, this.#signature, this.#statistics);
    else await removeProgress(directory);
    return this.#statistics;
  }

  /** From the embeddings, or from where the last pass stopped. */
  async #begin(): Promise<void> {
    const { model, tokens, length, taps, directory } = this.#options;
    this.#signature = passSignature([await fingerprintOf(model), length, taps], tokens);
    const found = await readProgress(directory, this.#signature);
    if (found !== null) {
      if (found.statistics.length < this.#plan.layers) await this.#calibrator.loadStates(found.states);
      this.#statistics = found.statistics;
      this.#options.onProgress?.({ kind: "resumed", blocks: found.statistics.length });
      return;
    }
    await this.#eachBatch(-1, (first, count) =>
      this.#calibrator.embed(first, tokens.subarray(first * length, (first + count) * length)),
    );
  }

  async #eachBatch(layer: number, work: (first: number, count: number) => Promise<void>): Promise<void> {
    const { length, signal, onProgress } = this.#options;
    const { samples, tokens, layers } = this.#plan;
    const batch = batchOf(this.#options);
    for (let first = 0; first < samples; first += batch) {
      throwIfAborted(signal);
      const count = Math.min(batch, samples - first);
      await work(first, count);
      if (layer < 0) continue;
      const done = layer * tokens + (first + count) * length;
      onProgress?.({ kind: "pass", layer, done, total: layers * tokens });
    }
  }

  async #saveNowAndThen(): Promise<void> {
    const { directory, saveSeconds = SAVE_SECONDS } = this.#options;
    const started = performance.now();
    if (started - this.#savedAt < Math.max(1000 * saveSeconds, this.#saveMs / SAVE_SHARE)) return;
    await writeProgress(directory, this.#signature, this.#statistics, (path) => this.#calibrator.saveStates(path));
    this.#savedAt = performance.now();
    this.#saveMs = this.#savedAt - started;
  }
}
