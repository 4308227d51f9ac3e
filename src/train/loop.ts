// SPDX-License-Identifier: Apache-2.0
/**
 * The steps of a run: micro batches accumulate, one update a step, validation, logs and checkpoints in between.
 */
import { throwIfAborted } from "../abort.js";
import { EspalierError } from "../errors.js";
import { scheduleOf, type ResolvedTrainOptions } from "./config.js";
import { LossSums, lossMetrics, validationMetrics, type ValidationMetrics } from "./metrics.js";
import type { LossTerm, NativeTrainer, TrainBatch, UpdateResult } from "./native-trainer.js";
import type { RunLog, StepMetrics } from "./run-log.js";
import type { RunProgress } from "./run-state.js";
import { sequencesPerRank, type Ranks } from "./ranks.js";
import { learningRate } from "./schedule.js";
import { validationSamples } from "./teacher-logits/index.js";

/** A split as the loop sees it: samples in training order. */
export interface TrainingSplit {
  readonly length: number;
  batch(begin: number, count: number): Promise<TrainBatch>;
}

export interface TrainingData {
  readonly train: TrainingSplit;
  readonly validation: TrainingSplit | null;
  readonly fingerprint: string;
  close(): Promise<void>;
}

export type LoopEvent =
  | { kind: "step"; step: number; steps: number; metrics: StepMetrics; etaSeconds: number }
  | { kind: "validation"; done: number; total: number };

export interface Loop {
  options: ResolvedTrainOptions;
  losses: readonly LossTerm[];
  trainer: NativeTrainer;
  ranks: Ranks;
  data: TrainingData;
  /** null: another rank writes it. */
  log: RunLog | null;
  /** Changed as the run goes on. */
  progress: RunProgress;
  /** A loss that whoever guesses has: the vocabulary's logarithm. */
  guessLoss: number;
  save: () => Promise<void>;
  signal?: AbortSignal | undefined;
  onProgress?: ((event: LoopEvent) => void) | undefined;
}

/** A loss this many times a guess's, or the first one's, is no longer learning. */
const HOPELESS = 2;

/** Runs the steps that are left. When the signal fires: finishes the step, saves, and throws ERR_ABORTED. */
export async function runSteps(loop: Loop): Promise<void> {
  const { options, progress, signal } = loop;
  const begun = { at: performance.now(), step: progress.step, seconds: progress.seconds };
  throwIfAborted(signal);
  while (progress.step < options.steps) {
    const metrics = await trainStep(loop);
    if (progress.step % options.valCheckInterval === 0 || progress.step === options.steps)
      Object.assign(metrics, await validate(loop));
    const seconds = (performance.now() - begun.at) / 1000;
    progress.seconds = begun.seconds + seconds;
    await loop.log?.write(metrics);
    checkDivergence(loop, metrics);
    const aborted = await anyAborted(loop);
    if (aborted || progress.step % options.saveInterval === 0 || progress.step === options.steps) await loop.save();
    const etaSeconds = (seconds / (progress.step - begun.step)) * (options.steps - progress.step);
    loop.onProgress?.({ kind: "step", step: progress.step, steps: options.steps, metrics, etaSeconds });
    if (aborted && progress.step < options.steps) throw new EspalierError("ERR_ABORTED", "interrupted");
  }
}

/** All ranks stop after the same step. */
async function anyAborted({ ranks, signal }: Loop): Promise<boolean> {
  const aborted = Float64Array.of(signal?.aborted === true ? 1 : 0);
  await ranks.sum(aborted);
  return aborted[0] !== 0;
}

async function trainStep(loop: Loop): Promise<StepMetrics> {
  const { options, progress } = loop;
  const started = performance.now();
  const step = progress.step + 1;
  const sums = await accumulate(loop);
  const rate = learningRate(scheduleOf(options), step);
  const update = await applyUpdate(loop, sums.tokens, rate);
  const seconds = (performance.now() - started) / 1000;
  progress.step = step;
  progress.updates = loop.trainer.step;
  progress.consumedSamples += options.globalBatch;
  progress.consumedTokens += sums.tokens;
  return {
    step,
    samples: progress.consumedSamples,
    tokens: progress.consumedTokens,
    ...lossMetrics(sums, loop.losses),
    learning_rate: rate,
    grad_norm: Number.isFinite(update.gradNorm) ? update.gradNorm : null,
    tokens_per_second: Math.round((options.globalBatch * options.seqLength) / seconds),
    ...(update.skipped ? { skipped: true as const } : {}),
  };
}

/** Forward and backward of this rank's part of the global batch; the next micro batch is read meanwhile. */
async function accumulate({ options, trainer, ranks, data, progress }: Loop): Promise<LossSums> {
  const { globalBatch, microBatch } = options;
  const share = sequencesPerRank(ranks, globalBatch, microBatch);
  const first = progress.consumedSamples + ranks.rank * share;
  const end = first + share;
  const read = (begin: number): Promise<TrainBatch> | null => {
    if (begin >= end) return null;
    const batch = data.train.batch(begin, microBatch);
    batch.catch(() => {}); // told when it is awaited
    return batch;
  };
  const sums = new LossSums();
  let next = read(first);
  for (let begin = first; next !== null;) {
    const batch = await next;
    begin += microBatch;
    next = read(begin);
    sums.add(await trainer.accumulate({ ...batch, last: next === null }));
  }
  await sums.addRanks(ranks);
  return sums;
}

async function applyUpdate({ options, trainer }: Loop, tokens: number, rate: number): Promise<UpdateResult> {
  if (tokens === 0) return { gradNorm: 0, skipped: false }; // no label counts: there is no gradient
  return trainer.update({
    tokens,
    learningRate: rate,
    weightDecay: options.weightDecay,
    maxGradNorm: options.clip,
  });
}

/** Average loss over the first `limitValBatches` global batches of the validation split, always the same. */
async function validate(loop: Loop): Promise<Partial<ValidationMetrics>> {
  const { options, trainer, ranks, data, progress } = loop;
  const total = validationSamples(options, data);
  if (data.validation === null || total === 0) return {};
  const sums = LossSums.of(loop.losses);
  const stride = options.microBatch * ranks.size;
  for (let begin = ranks.rank * options.microBatch; begin < total; begin += stride) {
    const batch = await data.validation.batch(begin, Math.min(options.microBatch, total - begin));
    sums.add(await trainer.evaluate(batch));
    loop.onProgress?.({ kind: "validation", done: Math.min(total, begin + stride), total });
  }
  await sums.addRanks(ranks);
  const metrics = validationMetrics(sums, loop.losses);
  const { val_loss: loss } = metrics;
  progress.valLoss = loss;
  if (loss !== null && (progress.best === null || loss < progress.best.valLoss))
    progress.best = { step: progress.step, valLoss: loss };
  return metrics;
}

/** ERR_TRAIN_DIVERGED after `maxSkipped` steps in a row that were skipped or far worse than a guess, or a validation that is NaN. */
function checkDivergence({ options, progress, guessLoss }: Loop, metrics: StepMetrics): void {
  const { loss } = metrics;
  const failed = metrics.skipped === true || loss === null;
  progress.firstLoss ??= loss;
  progress.lastLoss = loss ?? progress.lastLoss;
  progress.skipped += failed ? 1 : 0;
  progress.skippedInARow = failed ? progress.skippedInARow + 1 : 0;
  const limit = HOPELESS * Math.max(guessLoss, progress.firstLoss ?? 0);
  progress.hopelessInARow = loss !== null && loss > limit ? progress.hopelessInARow + 1 : 0;
  const rate = metrics.learning_rate.toPrecision(3);
  if (metrics.val_loss === null)
    throw new EspalierError(
      "ERR_TRAIN_DIVERGED",
      `step ${metrics.step}: the validation loss is not finite (learning rate ${rate}, training loss ${loss?.toFixed(4) ?? "NaN"})`,
    );
  if (progress.skippedInARow >= options.maxSkipped)
    throw new EspalierError(
      "ERR_TRAIN_DIVERGED",
      `step ${metrics.step}: ${progress.skippedInARow} steps in a row had gradients that are not finite ` +
        `(learning rate ${rate}, last finite loss ${progress.lastLoss?.toFixed(4) ?? "none"})`,
    );
  if (progress.hopelessInARow >= options.maxSkipped)
    throw new EspalierError(
      "ERR_TRAIN_DIVERGED",
      `step ${metrics.step}: the loss stayed above ${limit.toFixed(2)} for ${progress.hopelessInARow} steps ` +
        `(learning rate ${rate}, loss ${loss?.toFixed(2)}, first loss ${progress.firstLoss?.toFixed(4)})`,
    );
}
