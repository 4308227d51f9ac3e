// SPDX-License-Identifier: Apache-2.0
/** espalier importance: what matters in a model, measured on data. */
import type { Command } from "commander";
import type { IsaName } from "../../binding.js";
import type { CalibrationPlan } from "../../calibrate/index.js";
import { measureImportance, type ImportanceProgress, type ImportanceReport } from "../../importance/index.js";
import type { TaskFile } from "../../evaluate/index.js";
import { formatBytes, formatCount } from "../format.js";
import { numberList, positiveNumber, wholeNumber } from "../options.js";
import { collectTasks } from "../task-list.js";
import { action, type CommandContext } from "../run-command.js";

interface Options {
  data: string;
  out: string;
  samples: number;
  seqLength?: number;
  split: string;
  seed: number;
  layerBlocks?: number[];
  lossSamples: number;
  tasks?: TaskFile[];
  tasksLimit?: number;
  fewShot?: number;
  batchSize?: number;
  plot?: boolean;
  threads?: number;
  isa: IsaName | "auto";
  json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command("importance")
    .description("measure which channels, heads and layers of a model matter, by forward passes over data")
    .argument("<model>", "model directory or GGUF file")
    .requiredOption("--data <data>", 'PREFIX of .bin/.idx, directory of `tokenize`, or a blend "0.7 PREFIX 0.3 PREFIX"')
    .requiredOption("--out <dir>", "directory of scores to make; must not exist")
    .option("--samples <n>", "sequences measured on", positiveNumber, 1024)
    .option("--seq-length <n>", "tokens of a sequence (default: 512, or the model's positions)", positiveNumber)
    .option("--split <parts>", "parts of the documents, of which the first is used", "99,1,0")
    .option("--seed <n>", "of the order of the samples", wholeNumber, 1234)
    .option(
      "--layer-blocks <list>",
      "measure the loss without every block of n layers, for each n (default: 1; with --plot 1,2,8 and half of them)",
      numberList,
    )
    .option("--loss-samples <n>", "sequences of that measurement; 0: none", wholeNumber, 32)
    .option(
      "--tasks <task=file,...>",
      "measure scores on tasks without these blocks as well (see evaluate)",
      collectTasks,
    )
    .option("--tasks-limit <n>", "only the first n documents of each task", positiveNumber)
    .option("--few-shot <n>", "examples before each question (default: the task's)", wholeNumber)
    .option("--batch-size <n>", "sequences worked on at once (default: about 4,096 tokens)", positiveNumber)
    .option("--plot", "write report.html beside the scores; `report DIR` draws scores that are there")
    .option("--threads <n>", "threads (default: physical cores, or ESPALIER_THREADS)", positiveNumber)
    .option("--isa <level>", "force ref, avx2, avx512 or avx512_bf16", "auto");
  command.addHelpText(
    "after",
    "\nStarted again after it was stopped, it goes on where it was. `prune --importance DIR` takes the scores." +
      "\n\nExample:\n  espalier importance SmolLM2-135M --data corpus --samples 1024 --plot --out scores" +
      "\n  espalier importance SmolLM2-135M --data corpus --layer-blocks 15 --tasks arc_easy=arc_easy.jsonl --out scores",
  );
  action(command, async (context, model: string, { json: _json, ...options }: Options) => {
    const report = await measureImportance(
      { model, ...options },
      { signal: context.signal, onProgress: showImportance(context) },
    );
    return { json: report, text: summary(report) };
  });
}

/** Tells on the terminal how a pass goes. */
export function showImportance({ progress }: CommandContext): (event: ImportanceProgress) => void {
  return (event) => {
    switch (event.kind) {
      case "indexing":
        return progress.update("indexing data", event.done, event.total);
      case "plan":
        return progress.say(planText(event));
      case "resumed":
        return progress.say(`going on after block ${event.blocks}`);
      case "pass":
        return progress.update("forward pass", event.done, event.total, `block ${event.layer}`);
      case "losses":
        return progress.update("loss without layers", event.done, event.total);
      case "tasks":
        return progress.update("tasks without layers", event.done, event.total);
    }
  };
}

function planText({ samples, tokens, layers, statesBytes, statesInMemory, blockBytes }: CalibrationPlan): string {
  const place = statesInMemory ? "in memory" : "in a file beside the output";
  return (
    `${formatCount(samples)} samples, ${formatCount(tokens)} tokens through ${layers} blocks, one block at a time ` +
    `(${formatBytes(blockBytes)}); hidden states take ${formatBytes(statesBytes)} ${place}`
  );
}

function summary({ directory, samples, seqLength, blockImportance, loss, tasks, seconds }: ImportanceReport): string {
  const ranked = blockImportance.all.map((score, layer) => ({ score, layer })).sort((a, b) => a.score - b.score);
  const least = ranked.slice(0, 4).map(({ score, layer }) => `${layer + 1} (${score.toFixed(4)})`);
  const lines = [
    `${directory}: ${samples} samples of ${seqLength} tokens, ${seconds.toFixed(1)} s`,
    `  least important layers, from 1, by block importance: ${least.join(", ")}`,
  ];
  for (const { size, losses } of loss.without) {
    const best = losses.indexOf(Math.min(...losses));
    lines.push(`  loss ${loss.whole?.toFixed(4)}; least without ${blockName(best, size)}: ${losses[best]!.toFixed(4)}`);
  }
  for (const { task, metric, whole, without } of tasks)
    for (const { size, scores } of without) {
      const values = scores[metric] ?? [];
      const best = values.indexOf(Math.max(...values));
      const score = `${task} ${metric} ${whole[metric]?.toFixed(4)}`;
      lines.push(`  ${score}; best without ${blockName(best, size)}: ${values[best]?.toFixed(4)}`);
    }
  return lines.join("\n");
}

/** Layers count from 1. */
function blockName(begin: number, size: number): string {
  return size === 1 ? `layer ${begin + 1}` : `layers ${begin + 1}-${begin + size}`;
}
