/** espalier evaluate: how well a model predicts a text, and how it scores on tasks. */
import type { Command } from "commander";
import {
  evaluatePerplexity,
  evaluateTasks,
  readTasks,
  recoveryOf,
  tasks,
  type LoadedTask,
  type TaskFile,
  type TasksReport,
} from "../../evaluate/index.js";
import { Engine } from "../../engine/index.js";
import { EspalierError } from "../../errors.js";
import { addEngineOptions, engineDirectory, loadOptions, openEngine, type EngineCliOptions } from "../open-engine.js";
import { positiveNumber, wholeNumber } from "../options.js";
import { action, type CommandContext, type CommandResult } from "../run-command.js";
import { collectTasks, scoreTable } from "../task-list.js";

interface Options extends EngineCliOptions {
  perplexity?: string;
  window: number;
  stride?: number;
  maxTokens?: number;
  tasks?: TaskFile[];
  fewShot?: number;
  fewShotFrom?: TaskFile[];
  seed?: number;
  limit?: number;
  reference?: string;
}

export function register(program: Command): void {
  const command = program
    .command("evaluate")
    .description("perplexity of a text; scores on tasks")
    .argument("<model>", "engine directory, model directory or GGUF file")
    .option("--perplexity <file>", "text file (UTF-8)")
    .option("--window <tokens>", "tokens of a window", positiveNumber, 512)
    .option("--stride <tokens>", "tokens from window to window (default: the window)", positiveNumber)
    .option("--max-tokens <n>", "use only the first n tokens of the text", positiveNumber)
    .option("--tasks <task=file,...>", "tasks and their files of JSON lines", collectTasks)
    .option("--few-shot <n>", "examples before each question (default: the task's: 5 for gsm8k, else 0)", wholeNumber)
    .option("--few-shot-from <task=file,...>", "files of the examples (default: the task's own file)", collectTasks)
    .option("--seed <n>", "of the examples drawn (default: 1234)", wholeNumber)
    .option("--limit <n>", "only the first n documents of each task", positiveNumber)
    .option("--reference <model>", "score this model too, and say how much of its scores is kept");
  addEngineOptions(command);
  command.addHelpText(
    "after",
    `\nTasks, and the fields of a line:\n${tasks.map(({ name, fields }) => `  ${name.padEnd(14)} ${fields}`).join("\n")}
\nExample:\n  espalier evaluate smollm2-int8 --perplexity moby-dick.txt --window 512 --max-tokens 20000
  espalier evaluate student --tasks arc_easy=arc_easy.jsonl,piqa=piqa.jsonl --reference teacher`,
  );
  action(command, async (context, model: string, options: Options) => {
    if ((options.perplexity === undefined) === (options.tasks === undefined))
      throw new EspalierError(
        "ERR_USAGE",
        `evaluate: expected either --perplexity FILE or --tasks TASK=FILE, found ${options.tasks === undefined ? "neither" : "both"}`,
      );
    for (const name of ["fewShot", "fewShotFrom", "seed", "limit", "reference"] as const)
      if (options.tasks === undefined && options[name] !== undefined)
        throw new EspalierError("ERR_USAGE", `evaluate: ${name}: expected --tasks beside it, found --perplexity`);
    return options.tasks === undefined
      ? runPerplexity(context, model, options)
      : runTasks(context, model, options.tasks, options);
  });
}

async function runPerplexity(context: CommandContext, model: string, options: Options): Promise<CommandResult> {
  await using engine = await openEngine(model, { context: options.window, ...options }, context);
  const result = await evaluatePerplexity(engine, {
    file: options.perplexity as string,
    window: options.window,
    ...(options.stride === undefined ? {} : { stride: options.stride }),
    ...(options.maxTokens === undefined ? {} : { maxTokens: options.maxTokens }),
    signal: context.signal,
    onProgress: ({ done, total }) => context.progress.update("perplexity", done, total),
  });
  const bits = result.bitsPerByte === null ? "" : `, ${result.bitsPerByte.toFixed(4)} bits per byte`;
  const text =
    `perplexity ${result.perplexity.toFixed(4)}${bits} ` +
    `(mean NLL ${result.nll.toFixed(5)} over ${result.tokens} tokens)`;
  return { json: result, text };
}

/** Files and models are looked at before anything is scored: what is wrong with them shows at once. */
async function runTasks(
  context: CommandContext,
  model: string,
  files: readonly TaskFile[],
  options: Options,
): Promise<CommandResult> {
  const loaded = await readTasks(withShots(files, options.fewShotFrom ?? []));
  const directory = await engineDirectory(model, options, context);
  const other = options.reference === undefined ? null : await engineDirectory(options.reference, options, context);
  const report = await scoreModel(context, directory, loaded, options);
  if (other === null) return { json: { model, ...report }, text: scoreTable(report, null) };
  const reference = await scoreModel(context, other, loaded, options);
  const recovery = recoveryOf(report, reference);
  return {
    json: { model, ...report, reference: { model: options.reference, ...reference }, recovery },
    text: scoreTable(report, recovery),
  };
}

function withShots(files: readonly TaskFile[], shots: readonly TaskFile[]): TaskFile[] {
  for (const { task } of shots)
    if (!files.some((file) => file.task === task))
      throw new EspalierError("ERR_USAGE", `--few-shot-from: expected a task of --tasks, found "${task}"`);
  return files.map((file) => {
    const from = shots.find(({ task }) => task === file.task);
    return from === undefined ? file : { ...file, shotsFile: from.file };
  });
}

async function scoreModel(
  context: CommandContext,
  directory: string,
  loaded: readonly LoadedTask[],
  options: Options,
): Promise<TasksReport> {
  await using engine = await Engine.load(directory, loadOptions(options, context.signal));
  return await evaluateTasks(engine, loaded, {
    ...(options.fewShot === undefined ? {} : { shots: options.fewShot }),
    ...(options.seed === undefined ? {} : { seed: options.seed }),
    ...(options.limit === undefined ? {} : { limit: options.limit }),
    signal: context.signal,
    onProgress: ({ task, done, total }) => context.progress.update(task, done, total),
  });
}
