// SPDX-License-Identifier: Apache-2.0
/**
 * Scores on tasks without each block of consecutive layers: those of `evaluate --tasks` on the model pruned by the block.
 * One float32 engine of the whole model is built, and loaded without the block's layers.
 */
import { createHash } from "node:crypto";
import { readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { throwIfAborted } from "../abort.js";
import type { IsaName } from "../binding.js";
import { buildEngine, Engine } from "../engine/index.js";
import { evaluateTasks, type LoadedTask } from "../evaluate/index.js";
import type { Figures, Journal } from "./journal.js";

export interface TaskScoreOptions {
  /** Path of the model. */
  model: string;
  fingerprint: string;
  numLayers: number;
  tasks: readonly LoadedTask[];
  /** Only the first so many documents of each task. */
  limit?: number | undefined;
  /** Examples before each question. Default: the task's. */
  fewShot?: number | undefined;
  /** Sizes of blocks. */
  sizes: readonly number[];
  /** The engine is built here, and found here when the run goes on. */
  directory: string;
  journal: Journal;
  threads?: number | undefined;
  isa: IsaName | "auto";
  signal?: AbortSignal | undefined;
  /** Documents. */
  onProgress?: ((done: number, total: number) => void) | undefined;
}

/** Of one task. */
export interface TaskScores {
  task: string;
  documents: number;
  shots: number;
  /** The one that counts, the task's first: "acc". */
  metric: string;
  /** Metrics of the whole model. */
  whole: Record<string, number>;
  /** Metrics without layers [i, i + size), for every i. */
  without: { size: number; scores: Record<string, number[]> }[];
}

export async function measureTaskScores(options: TaskScoreOptions): Promise<TaskScores[]> {
  const { numLayers, sizes, tasks, fewShot } = options;
  const engine = await engineFor(options);
  const starts = (size: number): number[] => Array.from({ length: numLayers - size + 1 }, (_, i) => i);
  const documents = tasks.map(({ lines }) => Math.min(lines.length, options.limit ?? Infinity));
  const each = documents.reduce((sum, count) => sum + count, 0);
  const total = each * (1 + sizes.reduce((sum, size) => sum + starts(size).length, 0));
  const signature = signatureOf(options);
  let before = 0;
  const measure = async (begin: number, end: number): Promise<Figures> => {
    throwIfAborted(options.signal);
    const figures = await options.journal.once(`tasks ${signature} ${begin}-${end}`, () =>
      scoresWithout(engine, options, [begin, end], (done) => options.onProgress?.(before + done, total)),
    );
    options.onProgress?.((before += each), total);
    return figures;
  };
  const whole = await measure(0, 0);
  const without: { size: number; figures: Figures[] }[] = [];
  for (const size of sizes) {
    const figures: Figures[] = [];
    for (const begin of starts(size)) figures.push(await measure(begin, begin + size));
    without.push({ size, figures });
  }
  return tasks.map(({ task }, index) => ({
    task: task.name,
    documents: documents[index] as number,
    shots: fewShot ?? task.shots,
    metric: task.metrics[0] as string,
    whole: metricsOf(task, whole),
    without: without.map(({ size, figures }) => ({
      size,
      scores: Object.fromEntries(
        task.metrics.map((metric) => [metric, figures.map((row) => row[keyOf(task, metric)]!)]),
      ),
    })),
  }));
}

/** A name in a journal's figures. */
function keyOf({ name }: LoadedTask["task"], metric: string): string {
  return `${name}.${metric}`;
}

function metricsOf(task: LoadedTask["task"], figures: Figures): Record<string, number> {
  return Object.fromEntries(task.metrics.map((metric) => [metric, figures[keyOf(task, metric)]!]));
}

async function scoresWithout(
  directory: string,
  { tasks, limit, fewShot, threads, isa, signal }: TaskScoreOptions,
  skipLayers: readonly [number, number],
  onDone: (documents: number) => void,
): Promise<Figures> {
  const options = {
    isa,
    skipLayers,
    ...(threads === undefined ? {} : { threads }),
    ...(signal === undefined ? {} : { signal }),
  };
  await using engine = await Engine.load(directory, options);
  let earlier = 0;
  const report = await evaluateTasks(engine, tasks, {
    ...(limit === undefined ? {} : { limit }),
    ...(fewShot === undefined ? {} : { shots: fewShot }),
    ...(signal === undefined ? {} : { signal }),
    onProgress: ({ done, total }) => {
      onDone(earlier + done);
      if (done === total) earlier += total;
    },
  });
  const figures: Figures = {};
  for (const { task } of tasks)
    for (const [metric, { value }] of Object.entries(report.tasks[task.name]?.metrics ?? {}))
      figures[keyOf(task, metric)] = value;
  return figures;
}

/** Builds the engine unless a run before did; those of other models go. */
async function engineFor({ model, fingerprint, directory, signal }: TaskScoreOptions): Promise<string> {
  const name = `engine-${fingerprint.slice(-16)}`;
  const found = await readdir(directory);
  for (const other of found)
    if (/^\.?engine-/.test(other) && other !== name) await rm(join(directory, other), { recursive: true, force: true });
  const path = join(directory, name);
  if (!found.includes(name))
    await buildEngine(model, path, { weights: "f32", ...(signal === undefined ? {} : { signal }) });
  return path;
}

/** Of all that a score depends on but the layers. */
function signatureOf({ fingerprint, tasks, limit, fewShot }: TaskScoreOptions): string {
  const hash = createHash("sha256").update(JSON.stringify([fingerprint, limit ?? null, fewShot ?? null]));
  for (const { task, lines, pool } of tasks)
    for (const { key } of [...lines, ...pool]) hash.update(`\0${task.name}\0${key}`);
  return hash.digest("hex").slice(0, 32);
}
