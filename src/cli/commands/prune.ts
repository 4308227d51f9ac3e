// SPDX-License-Identifier: Apache-2.0
/** espalier prune: a smaller model out of a larger one. */
import type { Command } from "commander";
import { candidateTable, describePruning, prune } from "../../prune/index.js";
import { rankingTable, searchPrune, type SearchOptions } from "../../search/index.js";
import { realNumber, wholeNumber } from "../options.js";
import { action, type CommandContext, type CommandResult } from "../run-command.js";
import { addSearchFlags, measuredText, showSearch, takeSearchOptions } from "../search-flags.js";

/** Numbers as numbers; "50%" and what the schema refuses as text. */
const size = (text: string): number | string => (/^\d+$/.test(text) ? Number(text) : text);
const names = (text: string): string[] => text.split(",").map((name) => name.trim());

/** Flag, what it says, parser. Defaults are those of the schema in src/prune/config.ts. */
const flags: readonly (readonly [flag: string, help: string, parse?: (text: string) => unknown])[] = [
  ["--config-only <path>", "instead of MODEL: config.json, or a directory that has one; counts, writes nothing"],
  ["--importance <scores>", "what stays: a directory that `importance` made, or random or magnitude"],
  ["--aggregate <pair>", "scores over sequences and positions, each mean, l2 or var (default: l2,mean)"],
  ["--skip-first-position", "leave the first position out of the scores, where attention sinks stand"],
  ["--ffn <n>", "neurons of a feed-forward layer that stay, or a percentage: 50%", size],
  ["--hidden <n>", "hidden size, or a percentage", size],
  ["--heads <n>", "query heads, as many in every group, or a percentage", size],
  ["--kv-heads <n>", "key-value heads, whole groups go (default: all)", size],
  ["--layers <n>", "layers that stay, or a percentage", size],
  ["--drop-layers <list>", "layers that go, counted from 1, as in 16-31 or 3,7-9; needs no importance"],
  [
    "--layer-method <name>",
    "with --layers: block-importance, or the block whose absence costs least: contiguous-loss or contiguous-accuracy " +
      "(default: block-importance)",
  ],
  [
    "--target-params <n>",
    "parameters in total, within 5 %, as in 2.5B, 70M or 50%: takes the candidate that keeps most importance; sizes given " +
      "beside it are held",
    size,
  ],
  [
    "--target-memory <bytes>",
    "the same for bytes of weights (in --dtype), keys and values: 50MB, 1.5GiB or 50% of the source's",
    size,
  ],
  [
    "--target-latency <ms>",
    "the same for a decode token: 12.5ms or 50%; a few shapes are measured on this machine",
    size,
  ],
  ["--budget-batch <n>", "sequences that memory or latency is for (default: 1)", wholeNumber],
  [
    "--budget-context <n>",
    "with --target-memory: tokens of each in the cache (default: the model's, at most 4096)",
    wholeNumber,
  ],
  ["--budget-isl <n>", "with --target-latency: tokens of the prompt (default: 128)", wholeNumber],
  ["--budget-osl <n>", "with --target-latency: tokens generated (default: 32)", wholeNumber],
  ["--budget-weights <format>", "with --target-latency: weight format of the engines measured (default: f32)"],
  ["--axes <names>", "with a target: what is searched (default: ffn,hidden,heads,layers, as far as scored)", names],
  ["--max-width-pruning <x>", "largest part of a width that the search takes away (default: 0.4)", realNumber],
  ["--max-depth-pruning <x>", "largest part of the layers that the search takes away (default: 0.2)", realNumber],
  ["--list-candidates", "print what a target has to choose from, write nothing"],
  ["--merge-heads", "add to heads that stay their difference from pruned ones"],
  ["--seed <n>", "of --importance random (default: 1234)", wholeNumber],
  ["--dtype <dtype>", "f32, f16 or bf16 (default: as the source, f32 for a quantized one)"],
  ["--dry-run", "resolve and count, write nothing"],
  ["--out <dir>", "model directory to make; must not exist"],
];

export function register(program: Command): void {
  const command = program
    .command("prune")
    .description("take layers, channels, neurons or heads out of a model")
    .argument("[model]", "model directory or GGUF file");
  for (const [flag, help, parse] of flags)
    if (parse === undefined) command.option(flag, help);
    else command.option(flag, help, parse);
  addSearchFlags(command);
  command.addHelpText(
    "after",
    "\nExample:\n  espalier prune SmolLM2-135M --importance scores --ffn 50% --hidden 432 --out pruned\n" +
      "  espalier prune Llama-3.1-8B --drop-layers 16-31 --out depth-4b\n" +
      "  espalier prune --config-only Llama-3.1-8B/config.json --ffn 9216 --hidden 3072 --dry-run\n" +
      "  espalier prune SmolLM2-135M --importance scores --target-memory 150MB --dtype bf16 --out pruned\n" +
      "  espalier prune SmolLM2-135M --importance scores --target-params 50% --search-steps 300 --data corpus --out pruned\n" +
      "\nA search that was stopped goes on when the same command is given again.",
  );
  action(command, async (context, model: string | undefined, given: Record<string, unknown>) => {
    const { json: _json, ...options } = given;
    const { search, rest } = takeSearchOptions({ ...(model === undefined ? {} : { model }), ...options });
    if (search !== null) return runSearch(context, { ...rest, search } as SearchOptions);
    const result = await prune(rest, {
      signal: context.signal,
      onMeasured: (measured) => context.progress.say(measuredText(measured)),
      onProgress: ({ bytesDone, bytesTotal }) => context.progress.update("writing", bytesDone, bytesTotal),
    });
    const listed = options["listCandidates"] === true ? candidateTable(result.candidates ?? []) : "";
    return { json: result, text: listed === "" ? describePruning(result) : listed };
  });
}

async function runSearch(context: CommandContext, options: SearchOptions): Promise<CommandResult> {
  const result = await searchPrune(options, { signal: context.signal, onProgress: showSearch(context) });
  return { json: result, text: `${rankingTable(result)}\n${describePruning(result)}` };
}
