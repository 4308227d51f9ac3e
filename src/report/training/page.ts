// SPDX-License-Identifier: Apache-2.0
/**
 * The page of training runs: curves of all runs on the same charts, and a table of what they ended with.
 */
import { lineChart, type Curve } from "../charts/line-chart.js";
import { seriesClass } from "../charts/frame.js";
import { DASH, formatCount, formatNumber } from "../format.js";
import { markup, Markup } from "../markup.js";
import { renderPage } from "../page.js";
import { EMBLEM } from "../sections/headline.js";
import type { TrainingPoint, TrainingReportData, TrainingRun } from "./data.js";

const WIDE = { width: 500, height: 250 };
const NARROW = { width: 320, height: 210 };

/** The whole page. Text from runs is escaped. */
export function renderTrainingReport(data: TrainingReportData): string {
  const date = data.createdAt.slice(0, 16).replace("T", " ");
  const { title, createdAt, espalierVersion } = data;
  const head = markup`<header>
<p class="brand">${EMBLEM}<span>espalier</span><span class="quiet">training report</span></p>
<h1>${title}</h1>
<p class="lede">${sentence(data.runs)}</p>
<p class="byline">${data.machine.cpu} · ${date}</p>
</header>`;
  const content = [head, curvesSection(data.runs), resultsTable(data.runs), factsTable(data.runs)];
  return renderPage({ title, createdAt, espalierVersion, content });
}

/** How the best run by validation loss, or by training loss, ended. */
function sentence(runs: readonly TrainingRun[]): string {
  const valued = runs.filter((run) => run.validation.length > 0);
  if (valued.length === 0) {
    const last = runs[0]?.points.at(-1);
    return last === undefined ? "No step was taken yet." : `The loss is ${formatLoss(last.loss)} at step ${last.step}.`;
  }
  const best = valued.reduce((a, b) => (bestOf(b).loss < bestOf(a).loss ? b : a));
  const { loss, step, crossEntropy } = bestOf(best);
  const perplexity = crossEntropy === null ? "" : ` (perplexity ${formatNumber(Math.exp(crossEntropy))})`;
  const name = runs.length > 1 ? `Best is ${best.label}: its` : "The";
  return `${name} validation loss reached ${formatLoss(loss)}${perplexity} at step ${step.toLocaleString("en-US")}.`;
}

function bestOf(run: TrainingRun): TrainingRun["validation"][number] {
  return run.validation.reduce((a, b) => (b.loss < a.loss ? b : a));
}

interface Figure {
  title: string;
  note: string;
  xUnit: string;
  curves: Curve[];
}

export function curvesSection(runs: readonly TrainingRun[]): Markup {
  const of = (key: Exclude<keyof TrainingPoint, "step" | "samples">, x: "step" | "samples" = "step"): Curve[] =>
    runs.map((run, index) => ({
      name: run.label,
      colour: index + 1,
      points: run.points.map((point) => [point[x], point[key] ?? NaN] as const),
    }));
  const validation = runs.map((run, index) => ({
    name: run.label,
    colour: index + 1,
    points: run.validation.map((point) => [point.step, point.loss] as const),
    dots: true,
  }));
  const figures: Figure[] = [
    {
      title: "Training loss",
      note: "What each run minimizes, mean over the tokens that count.",
      xUnit: "steps",
      curves: of("loss"),
    },
    { title: "Validation loss", note: "On documents held out.", xUnit: "steps", curves: validation },
    { title: "Learning rate", note: "Of each step.", xUnit: "steps", curves: of("learningRate") },
    { title: "Gradient norm", note: "Before clipping.", xUnit: "steps", curves: of("gradNorm") },
    { title: "Training loss by samples", note: "Sequences seen.", xUnit: "samples", curves: of("loss", "samples") },
    { title: "Speed", note: "Tokens per second, without validation.", xUnit: "steps", curves: of("tokensPerSecond") },
  ];
  const legend = runs.map((run, index) => markup`<li>${swatch(index)}${run.label}</li>`);
  return markup`<section><div class="heading"><h2>Curves</h2>${runs.length > 1 && markup`<ul class="legend">${legend}</ul>`}</div>
<div class="figures">${figures.map(drawFigure)}</div></section>`;
}

function drawFigure({ title, note, xUnit, curves }: Figure): Markup {
  const at = (size: typeof WIDE): Markup =>
    new Markup(lineChart({ ...size, xUnit, description: `${title} over ${xUnit}` }, curves));
  return markup`<figure><figcaption><h3>${title}</h3><p>${note}</p></figcaption>
<div class="wide">${at(WIDE)}</div><div class="narrow">${at(NARROW)}</div></figure>`;
}

export function resultsTable(runs: readonly TrainingRun[]): Markup {
  const heads = [
    "Run",
    "Steps",
    "Tokens",
    "Loss",
    "Validation loss",
    "Best",
    "at step",
    "Validation perplexity",
    "Tokens/s",
    "Skipped",
  ];
  const rows = runs.map((run, index) => {
    const last = run.points.at(-1);
    const best = run.validation.length === 0 ? null : bestOf(run);
    const cells = [
      (last?.step ?? 0).toLocaleString("en-US"),
      formatCount(run.tokens),
      formatLoss(last?.loss),
      formatLoss(run.validation.at(-1)?.loss),
      formatLoss(best?.loss),
      best === null ? DASH : best.step.toLocaleString("en-US"),
      best === null || best.crossEntropy === null ? DASH : formatNumber(Math.exp(best.crossEntropy)),
      formatNumber(median(run.points.map((point) => point.tokensPerSecond))),
      String(run.skipped),
    ];
    return markup`<tr><th scope="row">${swatch(index)}${run.label}</th>${cells.map((cell) => markup`<td>${cell}</td>`)}</tr>`;
  });
  return markup`<section><h2>Results</h2><div class="scroll"><table><thead><tr>${heads.map((head) => markup`<th scope="col">${head}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div></section>`;
}

export function factsTable(runs: readonly TrainingRun[]): Markup {
  const names = [...new Set(runs.flatMap((run) => Object.keys(run.facts)))];
  const rows = names.map(
    (name) =>
      markup`<tr><th scope="row">${name}</th>${runs.map((run) => markup`<td>${run.facts[name] ?? DASH}</td>`)}</tr>`,
  );
  const heads = runs.map((run, index) => markup`<th scope="col">${swatch(index)}${run.label}</th>`);
  return markup`<section><h2>Options</h2><div class="scroll"><table class="facts"><thead><tr><td></td>${heads}</tr></thead><tbody>${rows}</tbody></table></div></section>`;
}

function swatch(index: number): Markup {
  return markup`<i class="swatch ${seriesClass(index + 1)}"></i>`;
}

function formatLoss(loss: number | null | undefined): string {
  return loss === null || loss === undefined ? DASH : loss.toFixed(4);
}

function median(values: readonly number[]): number | null {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? null;
}
