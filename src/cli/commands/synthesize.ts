// SPDX-License-Identifier: Apache-2.0
/** espalier synthesize: a teacher writes training data. */
import { Option, type Command } from "commander";
import { Engine } from "../../engine/index.js";
import {
  synthesize,
  textFormats,
  type SynthesizeOptions,
  type SynthesizeProgress,
  type SynthesizeReport,
} from "../../synthesize/index.js";
import { formatCount } from "../format.js";
import { addEngineOptions, engineDirectory, loadOptions, type EngineCliOptions } from "../open-engine.js";
import { positiveNumber, realNumber, wholeNumber } from "../options.js";
import { action, type CommandContext } from "../run-command.js";

interface Options extends EngineCliOptions, SynthesizeOptions {
  batch: number;
  json?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command("synthesize")
    .description("let a teacher write training texts, or answers to prompts, filtered and without duplicates")
    .argument("<teacher>", "engine directory, model directory or GGUF file")
    .requiredOption("--count <n>", "lines to write", positiveNumber)
    .requiredOption("--out <file>", "file of JSON lines to make; must not exist")
    .addOption(
      new Option(
        "--format <format>",
        'text: {"text"} a line, for `tokenize`; sft: {"messages"}, for `train --data` (default: text)',
      ).choices(textFormats),
    )
    .option("--prompts <file>", 'JSON lines of {"prompt"}, {"text"} or {"messages"}')
    .option("--seeds <file>", "text file whose lines begin a text each, or are what users say")
    .option("--max-tokens <n>", "tokens of a text at most (default: 256)", positiveNumber)
    .option("--temperature <t>", "0 = greedy (default: 1)", realNumber)
    .option("--top-p <p>", "keep the smallest set with probability p (default: 1, off)", realNumber)
    .option("--top-k <k>", "keep the k most probable tokens (default: 0, off)", wholeNumber)
    .option("--seed <n>", "the same seed gives the same texts (default: 1234)", wholeNumber)
    .option("--min-tokens <n>", "drop shorter texts (default: 16)", wholeNumber)
    .addOption(
      new Option(
        "--unfinished <what>",
        "keep or drop texts that --max-tokens cut off (default: text keeps them, sft drops them)",
      ).choices(["keep", "drop"]),
    )
    .option(
      "--max-repetition <part>",
      "drop texts with a larger part of repeated runs of 4 tokens (default: 0.3)",
      realNumber,
    )
    .option(
      "--min-logprob <x>",
      "drop texts whose tokens have a lower mean log-probability (default: none)",
      realNumber,
    )
    .option("--max-logprob <x>", "drop texts with a higher one (default: none)", realNumber)
    .option(
      "--max-similarity <part>",
      "drop texts that share this part of their runs of 5 words with one that was kept; 1: only the same text (default: 0.8)",
      realNumber,
    )
    .option("--max-attempts <n>", "texts to write at most (default: 10 for each line, at least 100)", positiveNumber)
    .option("--batch <n>", "texts the engine works on together", positiveNumber, 16);
  addEngineOptions(command);
  command.addHelpText(
    "after",
    "\nWithout prompts or seeds texts begin from nothing. Lines of a file are taken in turn, as often as it takes. The same\n" +
      "command goes on where it was stopped; more --count or --max-attempts go on from there too, until the file is there." +
      "\n\nExample:\n  espalier synthesize SmolLM2-135M-Instruct --seeds questions.txt --format sft --count 500 --max-tokens 128 \\\n" +
      "    --temperature 0.8 --top-p 0.95 --out answers.jsonl",
  );
  action(command, async (context, teacher: string, options: Options) => {
    const directory = await engineDirectory(teacher, options, context);
    const { batch } = options;
    await using engine = await Engine.load(directory, {
      ...loadOptions(options, context.signal),
      maxSequences: batch,
    });
    const hooks = { signal: context.signal, onProgress: showWriting(context) };
    const report = await synthesize(engine, { ...own(options), inFlight: 2 * batch }, hooks);
    return { json: report, text: summary(report) };
  });
}

/** Those that are not the engine's. */
function own(options: Options): SynthesizeOptions {
  const {
    weights: _w,
    context: _c,
    kvTokens: _k,
    kvDtype: _d,
    kvScale: _s,
    threads: _t,
    isa: _i,
    verify: _v,
    ...rest
  } = options;
  const { batch: _b, json: _j, ...given } = rest;
  return given;
}

export function showWriting({ progress }: CommandContext): (event: SynthesizeProgress) => void {
  return (event) => {
    if (event.kind === "resumed")
      return progress.say(`going on after ${event.attempts} attempts, of which ${event.kept} were kept`);
    const { kept, count, attempts, tokensPerSecond } = event;
    progress.update("writing", kept, count, `${attempts} attempts, ${tokensPerSecond.toLocaleString("en-US")} tok/s`);
  };
}

function summary({ out, count, tokens, attempts, dropped, seconds }: SynthesizeReport): string {
  const reasons = Object.entries(dropped).filter(([, times]) => times > 0);
  const told = reasons.length === 0 ? "none" : reasons.map(([reason, times]) => `${reason} ${times}`).join(", ");
  return (
    `${out}: ${formatCount(count)} lines, ${formatCount(tokens)} tokens, of ${formatCount(attempts)} attempts in ` +
    `${seconds.toFixed(1)} s\n  dropped: ${told}`
  );
}
