// SPDX-License-Identifier: Apache-2.0
/**
 * The page of a recipe's run: what the models cost and are worth, how they were trained, what mattered in them, and which
 * step made what.
 */
import { formatCount, formatRatio } from "../format.js";
import { htmlTable, type Column } from "../html-table.js";
import type { ImportanceFigures } from "../importance/data.js";
import { importanceSections } from "../importance/sections.js";
import { markup, type Markup } from "../markup.js";
import { renderPage } from "../page.js";
import { latencySection, speedSection } from "../sections/charts.js";
import { EMBLEM } from "../sections/headline.js";
import { cellsTable, enginesTable, ratiosTable } from "../sections/tables.js";
import { commandsSection, methodSection, samplesSection } from "../sections/words.js";
import { curvesSection, factsTable, resultsTable } from "../training/page.js";
import { headlineKey, cellOf } from "../comparison.js";
import type { CompressReportData, CompressStep } from "./data.js";
import { modelsTable } from "./models-table.js";

/** Scores that a step measured. */
export interface StepImportance {
  step: string;
  model: string;
  figures: ImportanceFigures;
}

/** The whole page. Text from models, files and recipes is escaped. */
export function renderCompressReport(data: CompressReportData, importance: readonly StepImportance[]): string {
  const { measured, runs, title } = data;
  const { createdAt, espalierVersion } = measured;
  const benched = measured.cells.length > 0;
  const head = markup`<header>
<p class="brand">${EMBLEM}<span>espalier</span><span class="quiet">compression report</span></p>
<h1>${title}</h1>
<p class="lede">${sentence(data)}</p>
<p class="byline">${measured.machine.cpu} · ${createdAt.slice(0, 16).replace("T", " ")}</p>
</header>`;
  return renderPage({
    title,
    createdAt,
    espalierVersion,
    content: [
      head,
      modelsTable(data),
      runs.length > 0 && markup`${curvesSection(runs)}${resultsTable(runs)}`,
      ...importance.flatMap(importanceOf),
      benched && markup`${speedSection(measured)}${latencySection(measured)}`,
      samplesSection(measured),
      lineageSection(data.steps),
      ratiosTable(measured),
      cellsTable(measured),
      measured.engines.length > 0 && enginesTable(measured),
      runs.length > 0 && factsTable(runs),
      benched && methodSection(measured),
      commandsSection(measured),
    ],
  });
}

function importanceOf({ step, model, figures }: StepImportance): Markup[] {
  const { measured, aggregation } = figures;
  const intro = markup`<section><h2>What matters in ${model}</h2><p class="intro">Measured by step ${step}: ${measured.samples} samples of ${measured.seqLength} tokens, forward passes only; channels by ${aggregation}.</p></section>`;
  return [intro, ...importanceSections(figures)];
}

/** How the last model compares with the first. */
function sentence({ models, measured, steps }: CompressReportData): string {
  const [first, last] = [models[0], models.at(-1)];
  if (first === undefined || last === undefined || first === last)
    return `${steps.length} ${steps.length === 1 ? "step" : "steps"}; no two models were measured.`;
  const words = [
    `${last.label} has ${formatCount(last.parameters)} of ${first.label}'s ${formatCount(first.parameters)} parameters`,
  ];
  if (first.perplexity !== null && last.perplexity !== null)
    words.push(`a perplexity of ${last.perplexity.toFixed(2)} against ${first.perplexity.toFixed(2)}`);
  const key = headlineKey(measured);
  const decode = (directory: string | null): number | null => {
    const engine = measured.engines.find((row) => row.directory === directory);
    return engine === undefined || key === null ? null : (cellOf(measured, engine, key)?.decodeTokensPerSecond ?? null);
  };
  const [from, to] = [decode(first.engine), decode(last.engine)];
  if (from !== null && to !== null) words.push(`and decodes at ${formatRatio(to / from)} the speed`);
  return `${words.join(", ")}.`;
}

function lineageSection(steps: readonly CompressStep[]): Markup {
  const columns: Column<CompressStep>[] = [
    { head: "Step", text: ({ name, verb }) => markup`${name}<small> ${verb}</small>` },
    { head: "Made from", text: ({ uses }) => uses.join(", ") || "files" },
    { head: "Result", text: ({ summary }) => summary },
    { head: "Seconds", text: ({ seconds, status }) => `${seconds.toFixed(1)}${status === "cached" ? " (kept)" : ""}` },
  ];
  return markup`<section><h2>Lineage</h2><p class="intro">Which step made what, and from what. Each model's espalier.json tells the same of itself.</p>${htmlTable(columns, steps, "words")}</section>`;
}
