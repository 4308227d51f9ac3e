// SPDX-License-Identifier: Apache-2.0
/** espalier train: train a model, or a new one, on tokenized data. */
import { InvalidArgumentError, type Command } from "commander";
import { readTrainRecipe, train, type TrainOptions, type TrainProgress, type TrainResult } from "../../train/index.js";
import { formatCount } from "../format.js";
import { collect, layerPairs, positiveNumber, realNumber, wholeNumber } from "../options.js";
import { action, type CommandContext } from "../run-command.js";

/** Flags by topic: flag, what it says, parser. Defaults are those of the schema in src/train/config.ts. */
type Flag = readonly [flag: string, help: string, parse?: (text: string, earlier: string[] | undefined) => unknown];

const names = (text: string): string[] => text.split(",").map((name) => name.trim());

function seed(text: string): number {
  const value = wholeNumber(text);
  if (value >= 2 ** 32) throw new InvalidArgumentError("expected a whole number below 2^32.");
  return value;
}

const flags: readonly Flag[] = [
  ["--recipe <file>", "options from a recipe.yaml, as a run leaves it; those given here win"],
  ["--config <file>", "instead of MODEL: config.json or YAML of a new model with random weights"],
  ["--tokenizer <dir>", "with --config: directory whose tokenizer files the model gets"],
  [
    "--data <data>",
    'PREFIX of .bin/.idx, directory of `tokenize`, a blend "0.7 PREFIX 0.3 PREFIX", or conversations (.jsonl)',
  ],
  [
    "--max-bad-lines <n>",
    "leave out so many lines without a conversation; one more is an error (default: 0)",
    wholeNumber,
  ],
  ["--split <parts>", "parts of the documents or conversations for train, validation, test (default: 99,1,0)"],
  ["--steps <n>", "updates", positiveNumber],
  ["--global-batch <n>", "sequences of an update (default: 32)", positiveNumber],
  ["--micro-batch <n>", "sequences worked on at once (default: the largest divisor up to 8)", positiveNumber],
  ["--seq-length <n>", "tokens of a sequence (default: 512)", positiveNumber],
  ["--lr <rate>", "peak learning rate (default: 3e-4)", realNumber],
  ["--min-lr <rate>", "learning rate at the end (default: a tenth of the peak)", realNumber],
  ["--warmup <n>", "steps in which the learning rate rises (default: 0)", wholeNumber],
  ["--schedule <name>", "cosine, linear, constant or wsd: warm-up, stable, decay (default: cosine)"],
  [
    "--decay-steps <n>",
    "cosine, linear: step of the minimum (default: the last); wsd: steps of the decay (default: a tenth)",
    positiveNumber,
  ],
  ["--weight-decay <x>", "of matrices, decoupled (default: 0.1)", realNumber],
  ["--beta1 <x>", "AdamW (default: 0.9)", realNumber],
  ["--beta2 <x>", "AdamW (default: 0.95)", realNumber],
  ["--epsilon <x>", "AdamW (default: 1e-8)", realNumber],
  ["--clip <norm>", "largest gradient norm; 0: any (default: 1)", realNumber],
  ["--seed <n>", "of the order of the data and of new weights (default: 1234)", seed],
  ["--save-interval <n>", "steps between checkpoints (default: 100)", positiveNumber],
  ["--save-top-k <n>", "checkpoints kept, best by validation loss, besides the last (default: 3)", wholeNumber],
  ["--val-check-interval <n>", "steps between validations (default: 100)", positiveNumber],
  ["--limit-val-batches <n>", "global batches of a validation; 0: none (default: 50)", wholeNumber],
  ["--reset-attention", "attention and positions begin anew at each document"],
  ["--checkpoint-activations", "less memory: compute each block again in the backward pass"],
  ["--activations <dtype>", "f32 or bf16 (default: f32)"],
  ["--lora-rank <n>", "train adapters of this rank and merge them at the end", wholeNumber],
  ["--lora-alpha <x>", "their scale times the rank (default: twice the rank)", realNumber],
  ["--lora-targets <roles>", "layers that get them (default: q_proj,k_proj,v_proj,o_proj)", names],
  ["--freeze <pattern>", "leave weights of this name as they are; * stands for any characters (repeatable)", collect],
  ["--teacher <model>", "model that is learned from"],
  ["--teacher-logits <dir>", "instead of a teacher: its largest logits, as `distill --cache-teacher` keeps them"],
  ["--ce-weight <x>", "weight of the cross-entropy with the data (default: 1; with a teacher 0)", realNumber],
  [
    "--kd-loss <kind>",
    "of the logits: kl, reverse-kl, jsd, mse, cosine, mft: kl with a teacher corrected by the labels, or kl-tail: kl over " +
      "--top-k and all the rest as one (default: kl)",
  ],
  ["--kd-weight <x>", "its weight (default: 1)", realNumber],
  ["--temperature <x>", "of both models' logits (default: 1)", realNumber],
  ["--temperature-squared", "multiply the logits' loss by the temperature squared"],
  ["--jsd-beta <x>", "the teacher's part of jsd's mixture (default: 0.5)", realNumber],
  ["--mft-threshold <x>", "how far the label leads in mft's corrected teacher (default: 0.2)", realNumber],
  ["--top-k <n>", "the teacher's largest logits compared; 0: all that there are (default: 0)", wholeNumber],
  ["--intermediate-loss <kind>", "of hidden states: mse, cosine or squarehead; widths that differ get a projection"],
  ["--intermediate-weight <x>", "its weight (default: 1)", realNumber],
  ["--intermediate-balance <kind>", "dynamic: scaled to the logits' loss; or static (default: dynamic)"],
  [
    "--intermediate-layer-pairs <pairs>",
    "STUDENT:TEACHER,... outputs of layers from 0, -1: embedding (default: each its own; depths that differ: the embedding " +
      "and the third from the end)",
    layerPairs,
  ],
  ["--dtype <dtype>", "f32, f16 or bf16: weights of the finished model (default: f32)"],
  ["--max-skipped <n>", "updates skipped in a row that end the run (default: 10)", positiveNumber],
  ["--threads <n>", "threads (default: physical cores, or ESPALIER_THREADS)", positiveNumber],
  ["--isa <level>", "force ref, avx2, avx512 or avx512_bf16"],
  ["--out <dir>", "run directory: checkpoints, logs, report, and the finished model in DIR/model"],
  ["--no-resume", "fail when DIR holds a run, instead of going on with it"],
  ["--overwrite", "remove the run that DIR holds and start again"],
];

const CONVERSATIONS =
  '\nConversations: a .jsonl or .jsonl.gz, one a line: {"messages": [{"role", "content"}, ...], "tools"?}, which the model\'s\n' +
  'chat template renders, or {"prompt", "completion"}: two lists of messages, or two texts taken as they are. Loss is on the\n' +
  "assistant's words (and on what ends them) or the completion's; the last of the file are held out by --split. Whole\n" +
  "conversations share a sequence, without seeing each other. One longer than a sequence loses its end; one without an\n" +
  "answer in it is left out. Lines that hold none are named by their numbers.\n";

export function register(program: Command): void {
  const command = program
    .command("train")
    .description("train a model, or a new one, on tokenized data; the same command again goes on where it stopped")
    .argument("[model]", "model directory or GGUF file to go on with");
  addTrainFlags(command);
  command.addHelpText(
    "after",
    CONVERSATIONS +
      "\nExample:\n  espalier train SmolLM2-135M --data corpus --steps 200 --global-batch 16 --micro-batch 4 \\\n" +
      '    --seq-length 256 --lr 1e-4 --warmup 10 --out runs/tuned\n  espalier generate runs/tuned/model "Once"',
  );
  action(command, async (context, model: string | undefined, given: Record<string, unknown>) => {
    const { json: _json, recipe, ...options } = given;
    const base = recipe === undefined ? {} : await readTrainRecipe(recipe as string);
    const result = await train({ ...base, ...(model === undefined ? {} : { model }), ...options } as TrainOptions, {
      signal: context.signal,
      onProgress: showTraining(context),
    });
    return result.rank > 0 ? { json: undefined, text: "" } : { json: result, text: trainingSummary(result) };
  });
}

/** The flags of training, but for those that `without` names. */
export function addTrainFlags(command: Command, without: readonly string[] = []): void {
  for (const [flag, help, parse] of flags) {
    if (without.includes(flag.split(" ")[0]!)) continue;
    if (parse === undefined) command.option(flag, help);
    else command.option(flag, help, parse as (text: string, earlier: unknown) => unknown);
  }
}

/** Tells on the terminal how a run goes. */
export function showTraining(context: CommandContext): (progress: TrainProgress) => void {
  const { progress } = context;
  let valLoss = "";
  return (event) => {
    switch (event.kind) {
      case "indexing":
        return progress.update("indexing data", event.done, event.total);
      case "conversations":
        return leftOut(event).forEach((line) => progress.say(line));
      case "resumed":
        return progress.say(`going on from ${event.path}`);
      case "worldSize":
        return progress.say(
          `begun by ${event.before} processes, goes on with ${event.now}: results differ by rounding`,
        );
      case "damaged":
        return progress.say(`passed over a damaged checkpoint: ${event.message}`);
      case "noValidation":
        return progress.say("no validation: the split leaves it no documents");
      case "quantized":
        return progress.say(`${event.path} is quantized: trained, and written, are the floats its codes stand for`);
      case "noTokenizer":
        return progress.say("the model gets no tokenizer: give --tokenizer DIR to prompt it with text later");
      case "saved":
        if (context.signal.aborted) progress.say(`saved ${event.path}; the same command goes on from there`);
        return;
      case "validation":
        return;
      case "step": {
        const { metrics, step, steps, etaSeconds } = event;
        if (metrics.skipped === true) progress.say(`step ${step}: the gradient is not finite, update skipped`);
        if (typeof metrics.val_loss === "number") valLoss = ` val ${metrics.val_loss.toFixed(4)}`;
        const loss = metrics.loss?.toFixed(4) ?? "NaN";
        const rate = metrics.learning_rate.toPrecision(3);
        const speed = `${metrics.tokens_per_second.toLocaleString("en-US")} tok/s`;
        const detail = `step ${step}/${steps} loss ${loss}${valLoss} lr ${rate} ${speed} ETA ${duration(etaSeconds)}`;
        return progress.update("train", step, steps, detail);
      }
    }
  };
}

/** What became of conversations that are not trained on as they are. */
function leftOut(event: Extract<TrainProgress, { kind: "conversations" }>): string[] {
  const { badLines, badLineExamples, truncated, dropped } = event;
  const lines: string[] = [];
  if (badLines > 0) lines.push(`${badLines} bad lines left out:`, ...badLineExamples.map((line) => `  ${line}`));
  if (truncated > 0) lines.push(`${truncated} conversations are longer than --seq-length: their ends are cut off`);
  if (dropped > 0) lines.push(`${dropped} conversations left out: no answer begins within --seq-length`);
  return lines;
}

export function trainingSummary(result: TrainResult): string {
  const { steps, consumedTokens, loss, valLoss, best, seconds, model, report } = result;
  const validation = valLoss === null ? "" : `, validation ${valLoss.toFixed(4)}`;
  const lowest = best === null ? "" : ` (best ${best.valLoss.toFixed(4)} at step ${best.step})`;
  return (
    `${steps} steps, ${formatCount(consumedTokens)} tokens in ${duration(seconds)}: ` +
    `loss ${loss?.toFixed(4) ?? "none"}${validation}${lowest}\nmodel: ${model}\nreport: ${report}`
  );
}

/** 3 h 05 min, 12 min 07 s, 9 s */
export function duration(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, "0");
  if (whole >= 3600) return `${Math.floor(whole / 3600)} h ${two(Math.floor((whole % 3600) / 60))} min`;
  return whole >= 60 ? `${Math.floor(whole / 60)} min ${two(whole % 60)} s` : `${whole} s`;
}
