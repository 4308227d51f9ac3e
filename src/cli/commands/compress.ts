// SPDX-License-Identifier: Apache-2.0
/** espalier compress: runs a recipe. */
import type { Command } from "commander";
import { compress, stepKinds, type CompressResult } from "../../recipe/index.js";
import { terminalTable } from "../../report/index.js";
import { collect } from "../options.js";
import { showRecipe } from "../recipe-progress.js";
import { action } from "../run-command.js";

interface Options {
  out: string;
  set?: string[];
  dryRun?: boolean;
}

export function register(program: Command): void {
  const command = program
    .command("compress")
    .description("run a recipe's steps; the same command again goes on, and leaves what has not changed as it is")
    .argument("<recipe>", "YAML file of steps, as in examples/recipes")
    .requiredOption("--out <dir>", "run directory: what each step makes, report.html")
    .option("--set <name=value>", "another value for one of the recipe's variables (repeatable)", collect)
    .option("--dry-run", "check the recipe, say which steps would run, do nothing");
  command.addHelpText(
    "after",
    `\nVerbs of steps: ${[...stepKinds.keys()].join(", ")}. docs/recipes.md tells how a recipe is written.` +
      "\n\nExample:\n  espalier compress examples/recipes/minitron-width.yaml --out runs/width" +
      "\n  espalier compress examples/recipes/minitron-width.yaml --set steps=500 --out runs/width",
  );
  action(command, async (context, recipe: string, { out, set, dryRun }: Options) => {
    const result = await compress(
      { recipe, out, set: set ?? [], dryRun: dryRun === true },
      { signal: context.signal, onProgress: showRecipe(context) },
    );
    return { json: result, text: textOf(result) };
  });
}

function textOf({ steps, report }: CompressResult): string {
  const rows = steps.map(({ name, verb, status, seconds, product }) => [
    name,
    verb,
    status,
    report === null ? "" : seconds.toFixed(1),
    product ?? "",
  ]);
  const table = terminalTable(["step", "verb", "status", "seconds", "product"], rows, 3);
  return report === null ? table : `${table}\nreport: ${report}`;
}
