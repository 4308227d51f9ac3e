// SPDX-License-Identifier: Apache-2.0
/**
 * train: a model, or a new one, trained on packed documents; resumable to the last bit.
 */
import { access } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "../abort.js";
import { exportHuggingFace, openWhole, type Checkpoint } from "../checkpoint/index.js";
import { EspalierError, toEspalierError } from "../errors.js";
import { parameterCount } from "../model/families.js";
import { version } from "../version.js";
import {
  listCheckpoints,
  pruneCheckpoints,
  readCheckpointState,
  removeHalfWritten,
  restoreCheckpoint,
  saveCheckpoint,
  type SavedCheckpoint,
} from "./checkpoint-files.js";
import { boundOptions, resolveTrainOptions, type ResolvedTrainOptions, type TrainOptions } from "./config.js";
import { runSteps, type LoopEvent, type TrainingData } from "./loop.js";
import { checkModelOptions, openModelSource, openTeacher, sourceName, type ModelSource } from "./model-source.js";
import type { NativeTrainer } from "./native-trainer.js";
import { defaultParts, type DataProgress, type TrainParts } from "./parts.js";
import { writeRunReport } from "./report.js";
import { alone, announce, isLead, sequencesPerRank } from "./ranks.js";
import { checkRunDirectory, runPaths, withRunDirectory, type RunPaths } from "./run-directory.js";
import { RunLog } from "./run-log.js";
import {
  checkIdentity,
  hashOf,
  newProgress,
  type CheckpointState,
  type RunIdentity,
  type RunProgress,
} from "./run-state.js";
import { withCachedTeacher, type TeacherLogits } from "./teacher-logits/index.js";
import { lossesOf } from "./teaching.js";
import { checkTrainerMemory, trainerConfig, type TrainerInputs } from "./trainer-config.js";

export type TrainProgress =
  | LoopEvent
  | DataProgress
  | { kind: "resumed"; step: number; path: string }
  /** The checkpoint was written by another number of processes: the rest of the run differs by rounding. */
  | { kind: "worldSize"; before: number; now: number }
  /** A checkpoint that cannot be read was passed over. */
  | { kind: "damaged"; path: string; message: string }
  | { kind: "saved"; step: number; path: string }
  | { kind: "noValidation" }
  /** The model has quantized weights: the floats that their codes stand for are trained, and written. */
  | { kind: "quantized"; path: string }
  /** The new model gets no tokenizer: it can be trained, but not prompted with text. */
  | { kind: "noTokenizer" };

export interface TrainHooks {
  signal?: AbortSignal;
  onProgress?: (progress: TrainProgress) => void;
}

export interface TrainResult {
  /** Of this process; only rank 0 writes. */
  rank: number;
  run: string;
  /** The finished model's directory. */
  model: string;
  steps: number;
  consumedSamples: number;
  consumedTokens: number;
  loss: number | null;
  valLoss: number | null;
  best: { step: number; valLoss: number } | null;
  skipped: number;
  seconds: number;
  parameters: number;
  /** Step of the checkpoint this call went on from; null: from the beginning. */
  resumedFrom: number | null;
  report: string;
}

/**
 * Trains. The same call again goes on from the newest checkpoint and ends with the same weights, whatever stopped the
 * first one. When the signal fires, the step is finished and saved, and ERR_ABORTED is thrown.
 *
 * @example
 * await train({ config: "tiny.yaml", tokenizer: "bpe", data: "corpus", steps: 1000, lr: 1e-3, out: "runs/tiny" });
 */
export function train(options: TrainOptions, hooks: TrainHooks = {}): Promise<TrainResult> {
  return trainWith(options, hooks, defaultParts);
}

/** With a trainer and data of the caller's. */
export async function trainWith(given: TrainOptions, hooks: TrainHooks, parts: TrainParts): Promise<TrainResult> {
  const options = resolveTrainOptions(given);
  throwIfAborted(hooks.signal);
  const ranks = (parts.joinRanks ?? (() => alone))();
  sequencesPerRank(ranks, options.globalBatch, options.microBatch);
  if (isLead(ranks)) await checkRunDirectory(options);
  const source = await openModelSource(options);
  await using _source = source.checkpoint;
  const teacher = options.teacher === undefined ? null : await openTeacher(options.teacher, source, options);
  await using _teacher = teacher?.checkpoint ?? null;
  checkModelOptions(source.checkpoint, options);
  const { losses, cached, teacherTop } = await lossesOf(options, source, teacher);
  const plain = await parts.openData(options, source.checkpoint, isLead(ranks) ? hooks : quiet(hooks));
  try {
    const data = cached === null ? plain : await withCachedTeacher(plain, cached, options, source, teacherTop);
    const identity = { ...identityOf(options, source, teacher ?? cached, data), worldSize: ranks.size };
    const run = { options, hooks, parts, ranks, source, teacher, cached, teacherTop, losses, data, identity };
    if (!isLead(ranks)) return await followIn({ ...run, hooks: quiet(hooks), paths: runPaths(options.out) });
    return await withRunDirectory(options, hooks.signal, (paths) => runIn({ ...run, paths }));
  } catch (error) {
    throw toEspalierError(error);
  } finally {
    await plain.close();
  }
}

function identityOf(
  options: ResolvedTrainOptions,
  source: ModelSource,
  teacher: Pick<ModelSource, "fingerprint"> | null,
  data: TrainingData,
): RunIdentity {
  return {
    spec: hashOf(source.checkpoint.spec),
    model: source.fingerprint,
    teacher: teacher?.fingerprint ?? null,
    data: data.fingerprint,
    worldSize: 1,
    options: boundOptions(options),
  };
}

interface Run extends TrainerInputs {
  hooks: TrainHooks;
  parts: TrainParts;
  data: TrainingData;
  identity: RunIdentity;
  cached: TeacherLogits | null;
  paths: RunPaths;
}

/** The lead alone tells what happens. */
function quiet({ signal }: TrainHooks): TrainHooks {
  return signal === undefined ? {} : { signal };
}

/** The run as ranks other than the lead see it: they train along and write nothing. */
async function followIn(run: Run): Promise<TrainResult> {
  const newest = (await announce(run.ranks, false)) ? null : await newestState(run);
  if (newest !== null) return resultOf(run, newest.state.progress, newest.step);
  const { progress, resumedFrom } = await trainSteps(run);
  return resultOf(run, progress, resumedFrom);
}

async function runIn(run: Run): Promise<TrainResult> {
  const { options, paths, ranks } = run;
  await removeHalfWritten(paths.checkpoints);
  const newest = await newestState(run);
  if (newest !== null) checkIdentity(newest.state.identity, run.identity, options.out);
  if (await isThere(paths.model)) {
    if (newest?.state.progress.step === options.steps) {
      await announce(ranks, false);
      return finished(run, newest.state.progress, newest.step);
    }
    throw new EspalierError("ERR_OUTPUT_EXISTS", `${paths.model} exists, but not the checkpoint it was made from`);
  }
  await announce(ranks, true);
  const { tensors, path } = run.source.checkpoint;
  if ([...tensors.values()].some(({ quantized }) => quantized !== undefined))
    run.hooks.onProgress?.({ kind: "quantized", path });
  if (!hasTokenizer(run.source.checkpoint)) run.hooks.onProgress?.({ kind: "noTokenizer" });
  const { progress, resumedFrom } = await trainSteps(run).catch(async (error: unknown) => {
    await writeRunReport(options.out).catch(() => {}); // the error is what matters
    throw error;
  });
  await writeModel(run, progress);
  return finished(run, progress, resumedFrom);
}

function hasTokenizer({ tokenizerFiles: { tokenizerJson, gguf } }: Checkpoint): boolean {
  return tokenizerJson !== undefined || gguf?.["tokenizer.ggml.model"] !== undefined;
}

/** The newest checkpoint whose state can be read. */
async function newestState(run: Run): Promise<(SavedCheckpoint & { state: CheckpointState }) | null> {
  for (const saved of await listCheckpoints(run.paths.checkpoints)) {
    const state = await readCheckpointState(saved.path).catch(() => null); // told when it is restored
    if (state !== null) return { ...saved, state };
  }
  return null;
}

async function trainSteps(run: Run): Promise<{ progress: RunProgress; resumedFrom: number | null }> {
  const { options, hooks, parts, ranks, source, losses, data, paths, identity } = run;
  const trainer = parts.createTrainer(trainerConfig(run));
  try {
    checkTrainerMemory(trainer, options);
    const state = await restore(run, trainer);
    const progress = state?.progress ?? newProgress();
    const log = isLead(ranks) ? await RunLog.open(options.out, state?.log ?? null) : null;
    try {
      const save = async (): Promise<void> => {
        if (log === null) return;
        const now = { version: 1 as const, espalierVersion: version, identity, progress, log: await log.sync() };
        const path = await saveCheckpoint(paths.checkpoints, source.checkpoint, trainer, now);
        await pruneCheckpoints(paths.checkpoints, options.saveTopK);
        hooks.onProgress?.({ kind: "saved", step: progress.step, path });
      };
      const guessLoss = Math.log(source.checkpoint.spec.vocabSize);
      const { signal, onProgress } = hooks;
      if (data.validation === null && options.limitValBatches > 0) onProgress?.({ kind: "noValidation" });
      const resumedFrom = state === null ? null : state.progress.step;
      await runSteps({ options, losses, trainer, ranks, data, log, progress, guessLoss, save, signal, onProgress });
      return { progress, resumedFrom };
    } finally {
      await log?.close();
    }
  } finally {
    await trainer.close();
  }
}

/** Puts the newest whole checkpoint into the trainer; null when there is none. Damaged ones are told and passed over. */
async function restore(run: Run, trainer: NativeTrainer): Promise<CheckpointState | null> {
  const { options, hooks, paths, identity } = run;
  let damage: unknown = null;
  for (const { path, step } of await listCheckpoints(paths.checkpoints)) {
    throwIfAborted(hooks.signal);
    try {
      const state = await readCheckpointState(path);
      checkIdentity(state.identity, identity, options.out);
      await restoreCheckpoint(path, state, trainer, { adapters: options.loraRank > 0 });
      hooks.onProgress?.({ kind: "resumed", step, path });
      const [before, now] = [state.identity.worldSize, identity.worldSize];
      if (before !== now) hooks.onProgress?.({ kind: "worldSize", before, now });
      return state;
    } catch (error) {
      if (!(error instanceof EspalierError) || error.code !== "ERR_TRAIN_CHECKPOINT") throw error;
      hooks.onProgress?.({ kind: "damaged", path, message: error.message });
      damage = error;
    }
  }
  if (damage !== null) throw damage; // nothing is left: starting again is for the user to decide
  return null;
}

/** RUN/model, from the last checkpoint. */
async function writeModel(
  { options, source, teacher, cached, data, paths }: Run,
  progress: RunProgress,
): Promise<void> {
  const [last] = await listCheckpoints(paths.checkpoints);
  await using checkpoint = await openWhole(last?.path ?? "");
  const { fingerprint, isNew, checkpoint: parent } = source;
  const lineage = {
    step: "train",
    version,
    options: { ...boundOptions(options), dtype: options.dtype },
    parent: isNew ? null : { name: sourceName(source), format: parent.format, fingerprint },
    ...(teacher === null ? {} : { teacher: { name: sourceName(teacher), fingerprint: teacher.fingerprint } }),
    ...(cached === null ? {} : { teacher: cached.lineage() }),
    data: data.fingerprint,
    metrics: {
      steps: progress.step,
      samples: progress.consumedSamples,
      tokens: progress.consumedTokens,
      loss: progress.lastLoss,
      valLoss: progress.valLoss,
    },
  };
  await exportHuggingFace(checkpoint, paths.model, { dtype: options.dtype, files: { "espalier.json": lineage } });
}

async function finished(run: Run, progress: RunProgress, resumedFrom: number | null): Promise<TrainResult> {
  return { ...resultOf(run, progress, resumedFrom), report: await writeRunReport(run.options.out) };
}

function resultOf(
  { options, ranks, source, paths }: Run,
  progress: RunProgress,
  resumedFrom: number | null,
): TrainResult {
  return {
    rank: ranks.rank,
    run: options.out,
    model: paths.model,
    steps: progress.step,
    consumedSamples: progress.consumedSamples,
    consumedTokens: progress.consumedTokens,
    loss: progress.lastLoss,
    valLoss: progress.valLoss,
    best: progress.best,
    skipped: progress.skipped,
    seconds: progress.seconds,
    parameters: parameterCount(source.checkpoint.spec),
    resumedFrom,
    report: join(options.out, "report.html"),
  };
}

function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
