// SPDX-License-Identifier: Apache-2.0
/** The options of `prune` that make it a search: flags, and what becomes of them. */
import type { Command } from "commander";
import { EspalierError } from "../errors.js";
import type { Candidate } from "../prune/index.js";
import type { LightSearchOptions, SearchProgress } from "../search/index.js";
import { showDistilling } from "./commands/distill.js";
import { formatCount } from "./format.js";
import { positiveNumber, realNumber } from "./options.js";
import type { CommandContext } from "./run-command.js";

type Parse = (text: string) => unknown;
type Flag = readonly [name: keyof LightSearchOptions, flag: string, help: string, parse: Parse];
const text: Parse = (value) => value;

const flags: readonly Flag[] = [
  [
    "steps",
    "--search-steps <n>",
    "with a target: distil the best candidates from MODEL for so many steps, take the one with the least validation loss",
    positiveNumber,
  ],
  ["candidates", "--search-candidates <n>", "so many, those that keep most importance (default: 4)", positiveNumber],
  ["data", "--data <data>", "what they are distilled on, as for distill", text],
  ["split", "--search-split <parts>", "parts for training, validation, test (default: 99,1,0)", text],
  ["globalBatch", "--search-global-batch <n>", "sequences of an update (default: 32)", positiveNumber],
  [
    "microBatch",
    "--search-micro-batch <n>",
    "sequences worked on at once (default: the largest divisor up to 8)",
    positiveNumber,
  ],
  [
    "seqLength",
    "--search-seq-length <n>",
    "tokens of a sequence (default: 512, or the model's positions)",
    positiveNumber,
  ],
  ["lr", "--search-lr <rate>", "peak learning rate (default: 1e-4)", realNumber],
  ["limitValBatches", "--search-val-batches <n>", "global batches of the validation (default: 8)", positiveNumber],
  ["loss", "--search-loss <policy>", "auto, logits or logits+intermediate (default: auto)", text],
  [
    "threads",
    "--threads <n>",
    "threads of the distillation (default: physical cores, or ESPALIER_THREADS)",
    positiveNumber,
  ],
  ["isa", "--isa <level>", "force ref, avx2, avx512 or avx512_bf16", text],
];

export function addSearchFlags(command: Command): void {
  for (const [, flag, help, parse] of flags) command.option(flag, help, parse);
}

/** The search that is asked for, null: none; and the options that are not of it. ERR_USAGE. */
export function takeSearchOptions(given: Record<string, unknown>): {
  search: LightSearchOptions | null;
  rest: Record<string, unknown>;
} {
  const names = new Map<string, string>(flags.map(([name, flag]) => [keyOf(flag), name]));
  const entries = Object.entries(given);
  const rest = Object.fromEntries(entries.filter(([key]) => !names.has(key)));
  const search: Record<string, unknown> = {};
  for (const [key, value] of entries) if (names.has(key)) search[names.get(key)!] = value;
  const [first] = flags.filter(([name]) => search[name] !== undefined);
  if (first !== undefined && first[0] !== "steps")
    throw new EspalierError("ERR_USAGE", `${first[1].split(" ")[0]}: expected --search-steps beside it, found none`);
  if (first !== undefined && search["data"] === undefined)
    throw new EspalierError("ERR_USAGE", "--search-steps: expected --data beside it, found none");
  return { search: first === undefined ? null : (search as unknown as LightSearchOptions), rest };
}

/** "--search-global-batch <n>" -> "searchGlobalBatch", as commander has it. */
function keyOf(flag: string): string {
  return flag
    .split(" ")[0]!
    .slice(2)
    .replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export function showSearch(context: CommandContext): (event: SearchProgress) => void {
  const { progress } = context;
  let [train, index] = [showDistilling(context), 0];
  return (event) => {
    switch (event.kind) {
      case "measured":
        return progress.say(measuredText(event.candidate));
      case "candidates":
        return progress.say(`${event.candidates.length} candidates${event.done > 0 ? `, ${event.done} known` : ""}`);
      case "pruning":
        return progress.update(`pruning candidate ${event.index + 1}`, event.bytesDone, event.bytesTotal);
      case "training":
        if (event.index !== index) [train, index] = [showDistilling(context), event.index];
        return train(event.progress);
      case "ranked":
        return progress.say(
          `candidate ${event.index + 1} of ${event.candidates}: validation cross-entropy ${event.outcome.loss.toFixed(4)}`,
        );
    }
  };
}

export function measuredText({ parameters, latencyMs = NaN, disturbed }: Candidate): string {
  const doubt = disturbed === true ? ", while others used the machine: not to be relied on" : "";
  return `measured: ${formatCount(parameters)} parameters take ${latencyMs.toFixed(3)} ms a token${doubt}`;
}
