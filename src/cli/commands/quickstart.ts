/** espalier quickstart: a model in, two engines, quality, an answer, a bench and a report out. `npm start` runs it. */
import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import type { Command } from "commander";
import { bench, type BenchCell } from "../../bench/index.js";
import { inspectModel } from "../../checkpoint/index.js";
import { Engine, readEngineManifest } from "../../engine/index.js";
import { EspalierError } from "../../errors.js";
import { evaluatePerplexity } from "../../evaluate/index.js";
import { pull, pullSmolLm2 } from "../../pull/index.js";
import { benchTable, perplexityTable, type ReportData } from "../../report/index.js";
import { bundledTeacher, heldOutText } from "../bundled-teacher.js";
import { formatBytes, formatCount } from "../format.js";
import { engineDirectory } from "../open-engine.js";
import { benchReport, checkWritable, writeReportFiles } from "../report-data.js";
import { action, type CommandContext } from "../run-command.js";
import { pullHooks } from "./pull.js";

interface Options {
  model: string;
  out: string;
  prompt?: string;
}

const FORMATS = ["f32", "int8-w8a8"] as const;
const WINDOW = 512;
const EVALUATED_TOKENS = 4096;
/** Prompts of the bench; the longest that the model's context leaves room for stands for longer ones. */
const ISL = [128, 512] as const;
const OSL = 32;
const QUESTION = "In two sentences, what does a gardener do with an espalier?";
/** For a model that does not chat. */
const BEGINNING = "The people of the United States";
/** INT8 may cost this much perplexity; beyond it the quickstart fails. */
const LARGEST_LOSS = 0.03;

export function register(program: Command): void {
  const command = program
    .command("quickstart")
    .description("build f32 and INT8 engines of a model, compare their quality and speed, write a report")
    .option("--model <model>", "model directory, GGUF file, hub id, or `teacher`, the bundled one", "teacher")
    .option("--out <dir>", "where the report goes", "runs/quickstart")
    .option("--prompt <text>", "what to ask the model, or how the text begins that it goes on with")
    .addHelpText("after", "\nExample:\n  npm start -- --model smollm2\n  npm start -- --model ./my-llama");
  action(command, async (context, options: Options) => {
    await checkWritable(join(options.out, "report.html"));
    const path = await findModel(options.model, context);
    context.progress.say(await summary(path));
    const engines: string[] = [];
    for (const weights of FORMATS) engines.push(await engineDirectory(path, { weights }, context));
    const data = await measure(engines, options, context);
    const report = await write(data, options.out);
    checkQuality(data);
    return {
      json: { report, perplexity: data.perplexity, cells: data.cells, samples: data.samples },
      text: `report: ${report}`,
    };
  });
}

async function findModel(model: string, context: CommandContext): Promise<string> {
  if (existsSync(model)) return model;
  if (model === "teacher") return bundledTeacher;
  if (model !== "smollm2") return (await pull(model, pullHooks(context))).path;
  try {
    return (await pullSmolLm2(pullHooks(context))).path;
  } catch (error) {
    if (context.signal.aborted || !(error instanceof EspalierError)) throw error;
    context.progress.say(`${error.message}\ntrying the Hugging Face hub instead`);
    return (await pull("HuggingFaceTB/SmolLM2-135M-Instruct", pullHooks(context))).path;
  }
}

async function summary(path: string): Promise<string> {
  const { family, parameters, bytes, spec, dtypes } = await inspectModel(path);
  const stored = dtypes.map((row) => row.dtype).join(", ");
  return (
    `${path}\n  ${family}, ${formatCount(parameters)} parameters, ${formatBytes(bytes)} as ${stored}, ` +
    `${spec.numLayers} layers, hidden ${spec.hiddenSize}, vocabulary ${spec.vocabSize}`
  );
}

/** Perplexity and an answer of each engine, then both benched turn by turn. */
async function measure(engines: string[], options: Options, context: CommandContext): Promise<ReportData> {
  const text = await heldOutText();
  const perplexity: ReportData["perplexity"] = [];
  const answers: { engine: string; text: string }[] = [];
  let prompt = options.prompt ?? "";
  for (const [index, directory] of engines.entries()) {
    const label = FORMATS[index] as string;
    await using engine = await Engine.load(directory, { contextTokens: Math.min(1024, await contextOf(directory)) });
    if (engine.tokenizer === null)
      throw new EspalierError(
        "ERR_TOKENIZER_MISSING",
        `${options.model}: the quickstart needs a model with a tokenizer`,
      );
    const result = await evaluatePerplexity(engine, {
      text: text.text,
      window: Math.min(WINDOW, engine.contextTokens),
      maxTokens: EVALUATED_TOKENS,
      signal: context.signal,
      onProgress: ({ done, total }) => context.progress.update(`perplexity ${label}`, done, total),
    });
    perplexity.push({ ...result, engine: directory, corpus: text.name });
    const chats = engine.tokenizer.chatTemplate != null;
    prompt = options.prompt ?? (chats ? QUESTION : BEGINNING);
    answers.push({ engine: directory, text: await answer(engine, prompt, context) });
  }
  context.progress.say(perplexityTable(perplexity.map((row, i) => ({ ...row, engine: FORMATS[i] as string }))));
  for (const [i, { text: words }] of answers.entries()) context.progress.say(`${FORMATS[i]}: ${words}\n`);
  const room = (await contextOf(engines[0] as string)) - OSL;
  const isl = [...new Set(ISL.map((tokens) => Math.min(tokens, room)))];
  const cells = await benchBoth(engines, isl, context);
  const data = await benchReport(engines, cells, commandsOf(engines, isl, options));
  for (const [i, engine] of data.engines.entries()) engine.label = FORMATS[i] as string;
  return { ...data, perplexity, samples: [{ prompt, answers }] };
}

async function contextOf(directory: string): Promise<number> {
  return (await readEngineManifest(directory)).spec.maxPositions;
}

async function answer(engine: Engine, prompt: string, context: CommandContext): Promise<string> {
  const asked = engine.tokenizer?.chatTemplate == null ? { prompt } : { messages: [{ role: "user", content: prompt }] };
  const generation = engine.generate({ ...asked, maxTokens: 96, temperature: 0, signal: context.signal });
  return (await generation.result()).text.trim();
}

async function benchBoth(engines: string[], isl: number[], context: CommandContext): Promise<BenchCell[]> {
  const [baseline, other] = engines;
  const cells = await bench(baseline as string, {
    compare: other as string,
    isl,
    osl: [OSL],
    batch: [1],
    repeats: 3,
    maxAttempts: 1,
    signal: context.signal,
    onProgress: ({ done, total, isl: tokens }) =>
      context.progress.update("bench", done, total, `ISL ${tokens} OSL ${OSL}`),
  });
  context.progress.say(benchTable(cells, (directory) => (directory === baseline ? FORMATS[0] : FORMATS[1])));
  return cells;
}

function commandsOf(engines: string[], isl: number[], options: Options): string[] {
  return [
    `npm start${options.model === "teacher" ? "" : ` -- --model ${options.model}`}`,
    `npx espalier bench ${engines[0]} --compare ${engines[1]} --isl ${isl.join()} --osl ${OSL} --repeats 3`,
  ];
}

async function write(data: ReportData, out: string): Promise<string> {
  const page = resolve(out, "report.html");
  await writeReportFiles(data, page);
  return page;
}

/** ERR_QUALITY when INT8 costs more than 3 % of perplexity; the report is written all the same. */
function checkQuality({ perplexity }: ReportData): void {
  const [exact, quantized] = perplexity;
  if (exact === undefined || quantized === undefined) return;
  const loss = quantized.perplexity / exact.perplexity - 1;
  if (loss <= LARGEST_LOSS) return;
  throw new EspalierError(
    "ERR_QUALITY",
    `int8-w8a8: perplexity ${quantized.perplexity.toFixed(3)}: expected at most ${LARGEST_LOSS * 100} % above ` +
      `f32's ${exact.perplexity.toFixed(3)}, found ${(loss * 100).toFixed(2)} %`,
  );
}
