// SPDX-License-Identifier: Apache-2.0
/**
 * What matters in a model, drawn: layers by block importance and by what is lost without them; channels, heads and groups
 * as heat maps.
 */
import { heatCells, heatMap, MAX_COLUMNS, type HeatRow } from "../charts/heat-map.js";
import { lineChart, type Curve } from "../charts/line-chart.js";
import { seriesClass, SERIES_COLOURS } from "../charts/frame.js";
import { formatNumber } from "../format.js";
import { markup, Markup } from "../markup.js";
import type { BlockValues, ImportanceFigures, ReportedImportance, ReportedTask } from "./data.js";

const HALF = { wide: 500, narrow: 320 };
const FULL = { wide: 1040, narrow: 320 };

/** Sections of a page: layers, then channels and heads. */
export function importanceSections(figures: ImportanceFigures): Markup[] {
  return [layersSection(figures.measured), channelsSection(figures)];
}

function layersSection(measured: ReportedImportance): Markup {
  const { blockImportance, loss, tasks = [] } = measured;
  const figures = [importanceFigure(blockImportance)];
  const losses = loss.without.map(({ size, losses: values }) => ({ size, values }));
  if (losses.length > 0 && loss.whole !== null)
    figures.push(
      withoutFigure(
        "Loss without a block of layers",
        `Mean cross-entropy of ${counted(loss.samples, "sequence")}, nats a token, by where the block begins. Lower is better.`,
        { whole: loss.whole, without: losses },
      ),
    );
  for (const task of tasks) if (task.without.length > 0) figures.push(taskFigure(task));
  return markup`<section><h2>Layers</h2>
<p class="intro">Layers count from 1. A block that can go leaves the loss low and the scores high.</p>
<div class="figures">${figures}</div></section>`;
}

function importanceFigure({ all, withoutFirstPosition }: ReportedImportance["blockImportance"]): Markup {
  const curve = (name: string, colour: number, values: readonly number[]): Curve => ({
    name,
    colour,
    points: values.map((value, layer) => [layer + 1, value] as const),
    dots: true,
  });
  const curves = [curve("all positions", 1, all), curve("without the first", 2, withoutFirstPosition)];
  const note = "1 − mean cosine of a layer's input and output: little changes in a layer with a low one.";
  return figure("Block importance", note, curves, "layer");
}

function taskFigure({ task, metric, documents, shots, whole, without }: ReportedTask): Markup {
  const asked = `${counted(documents, "document")}${shots > 0 ? `, ${counted(shots, "example")} before each` : ""}`;
  const title = `${task} without a block of layers`;
  return withoutFigure(title, `${metric} of ${asked}, by where the block begins. Higher is better.`, {
    whole,
    without,
  });
}

function counted(count: number, what: string): string {
  return `${count.toLocaleString("en-US")} ${what}${count === 1 ? "" : "s"}`;
}

interface Without {
  whole: number;
  without: readonly BlockValues[];
}

/** A line for every size, and the whole model's value as a line behind them. */
function withoutFigure(title: string, note: string, { whole, without }: Without): Markup {
  const end = Math.max(...without.map(({ values }) => values.length));
  const level: Curve = {
    name: "whole model",
    colour: 0,
    points: [1, Math.max(2, end)].map((x) => [x, whole] as const),
  };
  const curves = without.map(({ size, values }, index): Curve => ({
    name: size === 1 ? "without 1 layer" : `without ${size} layers`,
    colour: 1 + (index % (SERIES_COLOURS - 1)),
    points: values.map((value, begin) => [begin + 1, value] as const),
    dots: true,
  }));
  return figure(title, `${note} The whole model: ${formatNumber(whole)}.`, [level, ...curves], "first layer");
}

function figure(title: string, note: string, curves: readonly Curve[], xUnit: string): Markup {
  const at = (width: number): Markup =>
    new Markup(lineChart({ width, height: 230, xUnit, description: `${title} by ${xUnit}` }, curves));
  const legend = curves.map(
    ({ name, colour }) => markup`<li><i class="swatch ${seriesClass(colour)}"></i>${name}</li>`,
  );
  return markup`<figure><figcaption><h3>${title}</h3><p>${note}</p><ul class="legend">${legend}</ul></figcaption>
<div class="wide">${at(HALF.wide)}</div><div class="narrow">${at(HALF.narrow)}</div></figure>`;
}

function channelsSection({ measured, scores, withoutFirstPosition, aggregation }: ImportanceFigures): Markup {
  const { heads, kvHeads } = measured.model;
  const byLayer = (values: readonly ArrayLike<number>[]): HeatRow[] =>
    values.map((row, layer) => ({ label: String(layer + 1), values: row }));
  const hidden = [
    { label: "all positions", values: scores.hidden },
    { label: "without the first", values: withoutFirstPosition.hidden },
  ];
  const maps = [
    heatFigure(
      "Feed-forward channels",
      "The input of down_proj, layer by layer.",
      "channel",
      byLayer(scores.ffn),
      true,
    ),
    heatFigure("Hidden channels", "The output of the norms, summed over them.", "channel", hidden, true),
    heatFigure("Attention heads", "The input of o_proj, layer by layer.", "head", byLayer(scores.heads), heads > 64),
    kvHeads !== heads &&
      heatFigure(
        "KV groups",
        "Heads that share keys and values, layer by layer.",
        "group",
        byLayer(scores.kvGroups),
        false,
      ),
  ];
  return markup`<section><h2>Channels and heads</h2>
<p class="intro">Scores over ${counted(measured.samples, "sequence")} of ${measured.seqLength} tokens: ${aggregation}. Layers count from 1, channels and heads from 0. The colour runs with the logarithm of the score, from the 1st to the 99th percentile of each map.</p>
<div class="figures">${maps}</div></section>`;
}

function heatFigure(title: string, note: string, columns: string, rows: readonly HeatRow[], full: boolean): Markup {
  const values = rows.map((row) => row.values);
  const { binSize } = heatCells(values);
  const binned = binSize === 1 ? "" : ` A cell is the mean of ${binSize} neighbouring ${columns}s.`;
  const at = (width: number, maxColumns: number): Markup =>
    new Markup(heatMap({ width, columns, maxColumns, description: `${title}: scores by layer and ${columns}` }, rows));
  const { wide, narrow } = full ? FULL : HALF;
  const few = heatCells(values, MAX_COLUMNS / 2).binSize;
  const less = few === binSize ? null : markup`<p class="note">Here a cell is the mean of ${few}.</p>`;
  return markup`<figure${full && markup` class="full"`}><figcaption><h3>${title}</h3><p>${note}${binned}</p></figcaption>
<div><div class="wide">${at(wide, MAX_COLUMNS)}</div><div class="narrow">${at(narrow, MAX_COLUMNS / 2)}${less}</div></div></figure>`;
}
