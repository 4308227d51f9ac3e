// SPDX-License-Identifier: Apache-2.0
/**
 * What rounding did to the weights: the worst as bars, layers as curves, all as a table, and what can be done.
 */
import { groupedBars } from "../charts/grouped-bars.js";
import { lineChart, type Curve } from "../charts/line-chart.js";
import { formatBytes, formatNumber } from "../format.js";
import { htmlTable, type Column } from "../html-table.js";
import { markup, Markup } from "../markup.js";
import type { QuantizationReportData, ReportedWeight } from "./data.js";

const WIDE = 500;
const NARROW = 320;
/** Bars of the chart. */
const SHOWN = 8;
/** Weights that are named in the advice, at most. */
const NAMED = 5;
/** A weight stands out when its error is that many times the median. */
const OUTSTANDING = 1.05;

export function errorSection(data: QuantizationReportData): Markup | null {
  if (data.weights.length === 0) return null;
  const sorted = [...data.weights].sort((a, b) => b.relativeError - a.relativeError);
  const byLayer = layerFigure(data.weights);
  return markup`<section><h2>What rounding did to the weights</h2>
<p class="intro">Relative error: the norm of what rounding changed, over the norm of the weight. It tells where most is lost, not what that costs: the perplexity above does.</p>
<div class="figures">${worstFigure(sorted)}${byLayer}</div>${advice(sorted, data.gentler)}</section>`;
}

function worstFigure(sorted: readonly ReportedWeight[]): Markup {
  const shown = sorted.slice(0, SHOWN);
  const title = "Largest errors";
  const note =
    sorted.length > SHOWN
      ? `The ${SHOWN} worst of ${sorted.length} weights.`
      : "All quantized weights, the worst first.";
  const at = (width: number): Markup =>
    new Markup(
      groupedBars(
        { width, unit: "%", description: `${title} of weights in %`, series: ["relative error"], firstColour: 1 },
        shown.map(({ name, relativeError }) => ({ label: moduleOf(name), rows: [{ value: 100 * relativeError }] })),
      ),
    );
  return figure(title, note, [], at);
}

/** Mean and worst of each layer's weights; null for models of one layer. */
function layerFigure(weights: readonly ReportedWeight[]): Markup | null {
  const layers = new Map<number, number[]>();
  for (const { name, relativeError } of weights) {
    const [, number] = /\.(\d+)\./.exec(name) ?? [];
    if (number === undefined) continue;
    const errors = layers.get(Number(number)) ?? [];
    errors.push(100 * relativeError);
    layers.set(Number(number), errors);
  }
  if (layers.size < 2) return null;
  const rows = [...layers].sort(([a], [b]) => a - b);
  const curve = (name: string, colour: number, of: (errors: number[]) => number): Curve => ({
    name,
    colour,
    points: rows.map(([layer, errors]) => [layer + 1, of(errors)] as const),
    dots: true,
  });
  const curves = [
    curve("worst weight", 2, (errors) => Math.max(...errors)),
    curve("mean", 1, (errors) => errors.reduce((sum, error) => sum + error, 0) / errors.length),
  ];
  const title = "By layer";
  const at = (width: number): Markup =>
    new Markup(lineChart({ width, height: 230, xUnit: "layer", description: `${title}: relative error in %` }, curves));
  return figure(title, "Relative error of a layer's weights, in percent. Layers count from 1.", curves, at);
}

function figure(title: string, note: string, curves: readonly Curve[], at: (width: number) => Markup): Markup {
  const legend = curves.map(({ name, colour }) => markup`<li><i class="swatch s${colour}"></i>${name}</li>`);
  return markup`<figure><figcaption><h3>${title}</h3><p>${note}</p>${curves.length > 0 && markup`<ul class="legend">${legend}</ul>`}</figcaption>
<div class="wide">${at(WIDE)}</div><div class="narrow">${at(NARROW)}</div></figure>`;
}

/** Options that spare the weights which stand out. */
function advice(sorted: readonly ReportedWeight[], gentler: string | null): Markup {
  const median = sorted[Math.floor(sorted.length / 2)]?.relativeError ?? 0;
  const worst = sorted.filter(({ relativeError }) => relativeError > OUTSTANDING * median).slice(0, NAMED);
  if (worst.length === 0)
    return markup`<p class="note">No weight stands out: none is more than ${Math.round(100 * (OUTSTANDING - 1))} % above the median of ${percent(median)}.</p>`;
  const flags = worst.map(({ name }) =>
    gentler === null ? `--exclude '${moduleOf(name)}'` : `--override '${moduleOf(name)}=${gentler}'`,
  );
  const names = worst.map(({ name, relativeError }) => `${moduleOf(name)} (${percent(relativeError)})`).join(", ");
  const way =
    gentler === null ? "Leave them as they are" : `Give them ${gentler}, or leave them as they are with --exclude`;
  return markup`<p class="note">Worst against the median of ${percent(median)}: ${names}. ${way}, and measure again:</p><pre><code>${flags.join(" \\\n")}</code></pre>`;
}

export function weightsTable({ weights }: QuantizationReportData): Markup | null {
  if (weights.length === 0) return null;
  const columns: Column<ReportedWeight>[] = [
    { head: "Weight", text: ({ name }) => moduleOf(name) },
    { head: "Scheme", text: ({ scheme }) => scheme },
    { head: "Shape", text: ({ shape }) => shape.join(" × ") },
    { head: "Bits", unit: "a weight", text: ({ bitsPerWeight }) => bitsPerWeight.toFixed(2) },
    { head: "Size", text: ({ bytes }) => formatBytes(bytes) },
    { head: "Error", unit: "relative", text: ({ relativeError }) => percent(relativeError) },
    { head: "Largest", unit: "|w − ŵ|", text: ({ largestError }) => formatNumber(largestError) },
  ];
  return markup`<section><h2>All quantized weights</h2>${htmlTable(columns, weights)}</section>`;
}

function moduleOf(name: string): string {
  return name.replace(/\.weight$/, "");
}

function percent(share: number): string {
  return `${(100 * share).toFixed(share < 0.0995 ? 2 : 1)} %`;
}
