// SPDX-License-Identifier: Apache-2.0
/**
 * A run, or several, as report data: curves from metrics.jsonl, options from recipe.yaml.
 */
import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { EspalierError } from "../errors.js";
import { replaceFile } from "../files/replace-file.js";
import { isRecord } from "../json.js";
import { renderTrainingReport, reportMachine, type TrainingReportData, type TrainingRun } from "../report/index.js";
import { version } from "../version.js";
import { METRICS, type StepMetrics } from "./run-log.js";
import { RECIPE, readTrainRecipe } from "./recipe.js";

/** Points of a curve: more would not be seen. */
const POINTS = 400;

/** Options that the page shows, under these names. */
const FACTS: readonly [string, string][] = [
  ["model", "Model"],
  ["config", "New model"],
  ["teacher", "Teacher"],
  ["teacherLogits", "Teacher's logits"],
  ["kdLoss", "Logits loss"],
  ["temperature", "Temperature"],
  ["intermediateLoss", "Intermediate loss"],
  ["data", "Data"],
  ["steps", "Steps"],
  ["globalBatch", "Global batch"],
  ["microBatch", "Micro batch"],
  ["seqLength", "Sequence length"],
  ["schedule", "Schedule"],
  ["lr", "Peak learning rate"],
  ["minLr", "Minimum learning rate"],
  ["warmup", "Warm-up steps"],
  ["weightDecay", "Weight decay"],
  ["beta1", "beta1"],
  ["beta2", "beta2"],
  ["clip", "Gradient clipping"],
  ["activations", "Activations"],
  ["loraRank", "LoRA rank"],
  ["seed", "Seed"],
];

/**
 * Report data of run directories.
 * @example renderTrainingReport(await trainingReport(["runs/a", "runs/b"]));
 */
export async function trainingReport(directories: readonly string[]): Promise<TrainingReportData> {
  const names = directories.map((directory) => basename(resolve(directory)));
  const runs = await Promise.all(
    directories.map((directory, index) => {
      const name = names[index] ?? directory;
      return readRun(directory, names.filter((other) => other === name).length > 1 ? directory : name);
    }),
  );
  return {
    kind: "train",
    title: names.length === 1 ? (names[0] ?? "") : `${names.length} training runs`,
    createdAt: new Date().toISOString(),
    espalierVersion: version,
    machine: reportMachine(),
    runs,
  };
}

/** RUN/report.json and RUN/report.html; the path of the page. */
export async function writeRunReport(directory: string): Promise<string> {
  const data = await trainingReport([directory]);
  const page = join(directory, "report.html");
  await replaceFile(join(directory, "report.json"), `${JSON.stringify(data, null, 1)}\n`);
  await replaceFile(page, renderTrainingReport(data));
  return page;
}

async function readRun(directory: string, label: string): Promise<TrainingRun> {
  const metrics = await readMetrics(directory);
  const lines = metrics.split("\n").slice(0, -1); // what follows the last line break was being written
  const steps = lines.map((line, index) => parseLine(line, `${join(directory, METRICS)}:${index + 1}`));
  return {
    directory,
    label,
    points: thinned(steps),
    validation: steps.flatMap(validationOf),
    skipped: steps.filter((step) => step.skipped === true).length,
    tokens: steps.at(-1)?.tokens ?? 0,
    facts: factsOf(await readTrainRecipe(join(directory, RECIPE))),
  };
}

function validationOf({ step, samples, ...metrics }: StepMetrics): TrainingRun["validation"] {
  if (typeof metrics.val_loss !== "number") return [];
  const crossEntropy = "kd_loss" in metrics ? (metrics.val_lm_loss ?? null) : metrics.val_loss;
  return [{ step, samples, loss: metrics.val_loss, crossEntropy }];
}

async function readMetrics(directory: string): Promise<string> {
  try {
    return await readFile(join(directory, METRICS), "utf8");
  } catch (cause) {
    throw new EspalierError("ERR_RUN_NOT_FOUND", `${directory}: ${(cause as Error).message}`, { cause });
  }
}

function parseLine(line: string, where: string): StepMetrics {
  try {
    const value: unknown = JSON.parse(line);
    if (isRecord(value) && typeof value["step"] === "number") return value as unknown as StepMetrics;
    throw new Error("expected the figures of a step");
  } catch (cause) {
    throw new EspalierError("ERR_JSON", `${where}: ${(cause as Error).message}`, { cause });
  }
}

/** At most POINTS points: averages of as many steps each. */
function thinned(steps: readonly StepMetrics[]): TrainingRun["points"] {
  const size = Math.max(1, Math.ceil(steps.length / POINTS));
  const points: TrainingRun["points"] = [];
  for (let begin = 0; begin < steps.length; begin += size) {
    const group = steps.slice(begin, begin + size);
    const last = group.at(-1) as StepMetrics;
    points.push({
      step: last.step,
      samples: last.samples,
      loss: mean(group.map((step) => step.loss)),
      learningRate: last.learning_rate,
      gradNorm: mean(group.map((step) => step.grad_norm)),
      tokensPerSecond: mean(group.map((step) => step.tokens_per_second)) ?? 0,
    });
  }
  return points;
}

function mean(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((sum, value) => sum + value, 0) / known.length;
}

function factsOf(options: Record<string, unknown>): TrainingRun["facts"] {
  const facts: TrainingRun["facts"] = {};
  for (const [key, name] of FACTS) {
    const value = options[key];
    if (key === "temperature" && options["teacher"] === undefined) continue;
    if (typeof value === "string" || (typeof value === "number" && !(key === "loraRank" && value === 0)))
      facts[name] = value;
  }
  return facts;
}
