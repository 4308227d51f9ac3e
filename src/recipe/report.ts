// SPDX-License-Identifier: Apache-2.0
/**
 * RUN/report.html and RUN/report.json out of what the steps found.
 */
import { readFile } from "node:fs/promises";
import { basename, dirname, join, relative } from "node:path";
import { EspalierError } from "../errors.js";
import type { Recovery } from "../evaluate/index.js";
import { recoveryOf } from "../evaluate/index.js";
import { replaceFile } from "../files/replace-file.js";
import { importanceFigures } from "../importance/index.js";
import {
  isCompressReport,
  parseCompressReport,
  renderCompressReport,
  reportMachine,
  type CompressModel,
  type CompressReportData,
  type CompressStep,
  type ReportData,
  type StepImportance,
} from "../report/index.js";
import { trainingReport } from "../train/index.js";
import { version } from "../version.js";
import type { CompressedStep } from "./compress.js";
import type { PlannedStep } from "./plan.js";
import type { Recipe } from "./recipe-file.js";
import type { BenchOutcome } from "./steps/bench.js";
import type { EngineFacts } from "./steps/engines.js";
import type { EvaluateOutcome } from "./steps/evaluate.js";
import type { GenerateOutcome } from "./steps/generate.js";
import { summaryOf } from "./summary.js";

const REPORT = "report.json";

/** The path of the page. */
export async function writeCompressReport(
  recipe: Recipe,
  plan: readonly PlannedStep[],
  steps: readonly CompressedStep[],
  out: string,
  command: string,
): Promise<string> {
  const names = namesOf(recipe, steps);
  const models = new Models(names);
  for (const step of steps) models.add(step);
  const data: CompressReportData = {
    kind: "compress",
    title: recipe.title,
    models: models.rows(),
    runs: await runsOf(steps),
    importance: steps
      .filter(({ verb, product }) => verb === "importance" && product !== null)
      .map(({ name, product }) => ({
        step: name,
        model: plan.find((step) => step.name === name)?.uses[0] ?? name,
        directory: relative(out, product!),
      })),
    steps: steps.map((step) => lineageOf(step, plan)),
    measured: { ...measured(models), title: recipe.title, commands: [command] },
  };
  const page = join(out, "report.html");
  await replaceFile(join(out, REPORT), `${JSON.stringify(data, null, 1)}\n`);
  await replaceFile(page, await compressReport(out));
  return page;
}

/** Whether a directory holds the run of a recipe. */
export async function isCompressRun(path: string): Promise<boolean> {
  return isCompressReport(await readReport(path).catch(() => null));
}

/**
 * The page of a recipe's run, again from its data.
 * @example await writeFile("page.html", await compressReport("runs/width"));
 */
export async function compressReport(run: string): Promise<string> {
  const path = join(run, REPORT);
  const data = parseCompressReport(await readReport(run), path);
  const importance = data.importance.map(async ({ step, model, directory }): Promise<StepImportance> => {
    return { step, model, figures: await importanceFigures(join(run, directory)) };
  });
  return renderCompressReport(data, await Promise.all(importance));
}

async function readReport(run: string): Promise<unknown> {
  const path = join(run, REPORT);
  try {
    return JSON.parse(await readFile(path, "utf8"));
  } catch (cause) {
    throw new EspalierError("ERR_REPORT_DATA", `${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Products by the steps that made them, files by the variables that name them. */
function namesOf({ vars }: Recipe, steps: readonly CompressedStep[]): Map<string, string> {
  const names = new Map<string, string>();
  for (const [name, value] of Object.entries(vars)) if (typeof value === "string") names.set(value, name);
  for (const { name, product } of steps) if (product !== null) names.set(product, name);
  return names;
}

function lineageOf(
  { name, verb, status, seconds, outcome }: CompressedStep,
  plan: readonly PlannedStep[],
): CompressStep {
  const uses = plan.find((step) => step.name === name)?.uses ?? [];
  return { name, verb, uses, status, seconds, summary: outcome === null ? "" : summaryOf(verb, outcome) };
}

/** Of train and distill, under their steps' names. */
async function runsOf(steps: readonly CompressedStep[]): Promise<CompressReportData["runs"]> {
  const runs = steps.filter(({ verb, product }) => (verb === "train" || verb === "distill") && product !== null);
  if (runs.length === 0) return [];
  const data = await trainingReport(runs.map(({ product }) => dirname(product!)));
  return data.runs.map((run, index) => ({ ...run, label: runs[index]!.name }));
}

/** Models as evaluate, bench and generate steps met them: by path and weight format, in that order. */
class Models {
  readonly #names: ReadonlyMap<string, string>;
  readonly #facts = new Map<string, EngineFacts>();
  readonly #evaluated = new Map<string, EvaluateOutcome[]>();
  readonly #benched = new Map<string, { largestBatch: number; largestTokens: number }>();
  readonly #cells: ReportData["cells"] = [];
  readonly #samples: ReportData["samples"] = [];

  constructor(names: ReadonlyMap<string, string>) {
    this.#names = names;
  }

  add({ verb, outcome }: CompressedStep): void {
    if (outcome === null) return;
    if (verb === "evaluate") {
      const evaluated = outcome as EvaluateOutcome;
      const id = this.#meet(evaluated.engine);
      this.#evaluated.set(id, [...(this.#evaluated.get(id) ?? []), evaluated]);
    } else if (verb === "bench") this.#addBench(outcome as BenchOutcome);
    else if (verb === "generate") {
      const { prompt, engines, answers } = outcome as GenerateOutcome;
      const ids = engines.map((facts) => this.#meet(facts));
      this.#samples.push({ prompt, answers: ids.map((engine, index) => ({ engine, text: answers[index]! })) });
    }
  }

  rows(): CompressModel[] {
    const [reference] = [...this.#facts.keys()].map((id) => this.#tasksOf(id)).filter((tasks) => tasks !== null);
    return [...this.#facts].map(([id, { weights, engine }]) => {
      const perplexity = (this.#evaluated.get(id) ?? []).findLast((one) => one.perplexity !== null)?.perplexity ?? null;
      const tasks = this.#tasksOf(id);
      const recovery: Recovery | null = tasks === null || reference === undefined ? null : recoveryOf(tasks, reference);
      return {
        label: this.label(id),
        weights,
        parameters: engine.source.parameters,
        sizeBytes: engine.sizeBytes,
        engine: this.#benched.has(id) ? id : null,
        perplexity: perplexity?.perplexity ?? null,
        corpus: perplexity === null ? null : basename(perplexity.corpus),
        bitsPerByte: perplexity?.bitsPerByte ?? null,
        tasks: firstMetrics(tasks),
        recovery: recovery?.mean ?? null,
        largestBatch: this.#benched.get(id)?.largestBatch ?? null,
        largestTokens: this.#benched.get(id)?.largestTokens ?? null,
      };
    });
  }

  /** Engines are known by their ids. */
  report(): Pick<ReportData, "engines" | "cells" | "perplexity" | "samples"> {
    const shown = [...this.#facts].filter(([id]) => this.#benched.has(id));
    return {
      engines: shown.map(([id, { engine }]) => ({ ...engine, directory: id, label: this.label(id) })),
      cells: this.#cells,
      perplexity: [],
      samples: this.#samples.map(({ prompt, answers }) => ({
        prompt,
        answers: answers.map(({ engine, text }) => ({
          engine: this.#benched.has(engine) ? engine : this.label(engine),
          text,
        })),
      })),
    };
  }

  /** The step's or variable's name; the format too where several are of one model. */
  label(id: string): string {
    const { path, weights } = this.#facts.get(id)!;
    const name = this.#names.get(path) ?? basename(path);
    const several = [...this.#facts.values()].filter((facts) => facts.path === path).length > 1;
    return several ? `${name} (${weights})` : name;
  }

  #addBench({ engines, cells, largestBatches, largestTokens }: BenchOutcome): void {
    const ids = new Map(engines.map((facts) => [facts.engine.directory, this.#meet(facts)]));
    engines.forEach((facts, index) =>
      this.#benched.set(this.#meet(facts), { largestBatch: largestBatches[index]!, largestTokens }),
    );
    for (const { comparison, ...cell } of cells)
      this.#cells.push({
        ...cell,
        engine: ids.get(cell.engine)!,
        ...(comparison === undefined ? {} : { comparison: { ...comparison, baseline: ids.get(comparison.baseline)! } }),
      });
  }

  #meet(facts: EngineFacts): string {
    const id = `${facts.path} ${facts.weights}`;
    if (!this.#facts.has(id)) this.#facts.set(id, facts);
    return id;
  }

  #tasksOf(id: string): EvaluateOutcome["tasks"] {
    return (this.#evaluated.get(id) ?? []).findLast(({ tasks }) => tasks !== null)?.tasks ?? null;
  }
}

function firstMetrics(report: EvaluateOutcome["tasks"]): CompressModel["tasks"] {
  const rows = Object.entries(report?.tasks ?? {}).map(([name, { metrics }]) => {
    const [metric, score] = Object.entries(metrics)[0]!;
    return [name, { metric, ...score }] as const;
  });
  return Object.fromEntries(rows);
}

function measured(models: Models): ReportData {
  return {
    title: "",
    createdAt: new Date().toISOString(),
    espalierVersion: version,
    machine: reportMachine(),
    ...models.report(),
    commands: [],
  };
}
