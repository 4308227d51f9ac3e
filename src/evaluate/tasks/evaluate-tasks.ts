/**
 * Scores of an engine on tasks, and how much of another's they are.
 */
import { throwIfAborted } from "../../abort.js";
import { EspalierError } from "../../errors.js";
import { chooseAnswers, type ChoosingEngine, type Outcome, type Run } from "./choose.js";
import type { PairTokenizer } from "./encode.js";
import { writeAnswers, type WritingEngine } from "./generate.js";
import { summarize } from "./metrics.js";
import { makePrompts, shotsOf, type PromptOptions } from "./prompts.js";
import type { LoadedTask } from "./read-tasks.js";
import type { Sample, TaskReport } from "./types.js";

/** What it takes to be asked; `Engine` is one. */
export type TaskEngine = ChoosingEngine & WritingEngine & { readonly tokenizer: PairTokenizer | null };

export interface TaskOptions extends PromptOptions {
  signal?: AbortSignal;
  onProgress?: (progress: TaskProgress) => void;
  /** Told what came of every document, in their order, when its task is done. */
  onSample?: (task: string, index: number, sample: Sample) => void;
}

export interface TaskProgress {
  task: string;
  /** Documents. */
  done: number;
  total: number;
}

export interface TasksReport {
  /** By name. */
  tasks: Record<string, TaskReport>;
  seconds: number;
}

/**
 * Scores as lm-evaluation-harness computes them: its prompts, its tokens, its metrics.
 * @example
 * const tasks = await readTasks([{ task: "arc_easy", file: "arc_easy.jsonl" }]);
 * const report = await evaluateTasks(engine, tasks, { limit: 100 });
 * console.log(report.tasks.arc_easy.metrics.acc_norm.value);
 */
export async function evaluateTasks(
  engine: TaskEngine,
  loaded: readonly LoadedTask[],
  options: TaskOptions = {},
): Promise<TasksReport> {
  const { tokenizer } = engine;
  if (tokenizer === null)
    throw new EspalierError("ERR_TOKENIZER_MISSING", `${engine.directory} has no tokenizer: tasks are text`);
  checkOptions(options);
  const started = performance.now();
  const tasks: Record<string, TaskReport> = {};
  for (const one of loaded) {
    throwIfAborted(options.signal);
    const { samples, truncated } = await ask(engine, tokenizer, one, options);
    for (const [index, sample] of samples.entries()) options.onSample?.(one.task.name, index, sample);
    tasks[one.task.name] = {
      file: one.file,
      documents: samples.length,
      shots: shotsOf(one, options),
      truncated,
      metrics: summarize(samples, one.task.metrics),
    };
  }
  return { tasks, seconds: (performance.now() - started) / 1000 };
}

function checkOptions({ limit, shots }: TaskOptions): void {
  const check = (name: string, value: number | undefined, least: number): void => {
    if (value !== undefined && !(Number.isSafeInteger(value) && value >= least))
      throw new EspalierError("ERR_ARGUMENT", `${name}: expected a whole number from ${least}, found ${value}`);
  };
  check("limit", limit, 1);
  check("shots", shots, 0);
}

function ask(engine: TaskEngine, tokenizer: PairTokenizer, loaded: LoadedTask, options: TaskOptions): Promise<Outcome> {
  const { task } = loaded;
  const total = Math.min(loaded.lines.length, options.limit ?? Infinity);
  const onDone = (done: number): void => options.onProgress?.({ task: task.name, done, total });
  const run: Run = { signal: options.signal, onDone };
  onDone(0);
  if (isChoice(loaded)) return chooseAnswers(engine, tokenizer, makePrompts(loaded, options), run);
  return writeAnswers(engine, tokenizer, loaded.task, makePrompts(loaded, options), run);
}

function isChoice(loaded: LoadedTask): loaded is Extract<LoadedTask, { task: { kind: "choice" } }> {
  return loaded.task.kind === "choice";
}
