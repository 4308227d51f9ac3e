// SPDX-License-Identifier: Apache-2.0
/** Curves over one horizontal axis: training losses of several runs, say. */
import { formatNumber } from "../format.js";
import { markup, type Markup } from "../markup.js";
import { emptyChart, niceTicks, round, seriesClass, textWidth } from "./frame.js";

export interface Curve {
  name: string;
  /** Index of its colour. */
  colour: number;
  /** [x, y], x rising. */
  points: readonly (readonly [number, number])[];
  /** Dots at the points: for the few of a validation. */
  dots?: boolean;
}

export interface LineFrame {
  /** For screen readers: what is shown. */
  description: string;
  /** Of the horizontal axis: "steps". */
  xUnit: string;
  width: number;
  height: number;
}

interface Range {
  low: number;
  high: number;
  ticks: number[];
}

const TOP = 12;
const BOTTOM = 26;

export function lineChart(frame: LineFrame, curves: readonly Curve[]): string {
  const shown = curves.map((curve) => ({ ...curve, points: curve.points.filter(isFinitePoint) }));
  const all = shown.flatMap((curve) => curve.points);
  if (all.length === 0)
    return emptyChart({ description: frame.description, unit: frame.xUnit, series: [], width: frame.width });
  const yRange = rangeOf(
    all.map(([, y]) => y),
    5,
  );
  const left = Math.max(...yRange.ticks.map((tick) => textWidth(tickText(tick), 12))) + 8;
  const right = frame.width - 10;
  const bottom = frame.height - BOTTOM;
  const xTop = Math.max(...all.map(([x]) => x), 1e-12);
  const xTicks = niceTicks(xTop, frame.width < 400 ? 3 : 5).filter((tick) => tick <= xTop * (1 + 1e-9));
  const x = (value: number): number => round(left + ((right - left) * value) / xTop);
  const y = (value: number): number =>
    round(bottom - ((bottom - TOP) * (value - yRange.low)) / (yRange.high - yRange.low));
  const content = [
    ...yRange.ticks.map((tick) => yLine(tick, y(tick), left, right)),
    ...xAxis(xTicks, frame.xUnit, x, right, bottom),
    ...shown.map((curve) => drawCurve(curve, x, y)),
  ];
  return markup`<svg viewBox="0 0 ${frame.width} ${frame.height}" role="img" aria-label="${frame.description}">${content}</svg>`
    .text;
}

function isFinitePoint([x, y]: readonly [number, number]): boolean {
  return Number.isFinite(x) && Number.isFinite(y);
}

/** Round ticks that span the values, which need not begin at zero. */
function rangeOf(values: readonly number[], wanted: number): Range {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) [low, high] = [Math.min(low, value), Math.max(high, value)];
  if (low === high) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) / 2, high + Math.abs(high) / 2];
  const steps = niceTicks(high - low, wanted);
  const step = (steps[1] ?? 1) - (steps[0] ?? 0);
  const first = Math.floor(low / step + 1e-9) * step;
  const count = Math.max(1, Math.ceil((high - first) / step - 1e-9));
  const ticks = Array.from({ length: count + 1 }, (_, index) => Number((first + index * step).toPrecision(12)));
  return { low: ticks[0] ?? low, high: ticks.at(-1) ?? high, ticks };
}

function drawCurve({ name, colour, points, dots }: Curve, x: (v: number) => number, y: (v: number) => number): Markup {
  const path = points.map(([px, py], index) => `${index === 0 ? "M" : "L"}${x(px)} ${y(py)}`).join("");
  const last = points.at(-1);
  const marks = dots === true ? points.map(([px, py]) => markup`<circle cx="${x(px)}" cy="${y(py)}" r="2.6" />`) : [];
  return markup`<g class="curve ${seriesClass(colour)}"><title>${name}${last !== undefined && `: ${formatNumber(last[1])} at ${last[0].toLocaleString("en-US")}`}</title><path d="${path}" />${marks}</g>`;
}

function yLine(tick: number, at: number, left: number, right: number): Markup {
  return markup`<line class="grid" x1="${left}" x2="${right}" y1="${at}" y2="${at}" /><text class="tick" x="${left - 6}" y="${at + 4}" text-anchor="end">${tickText(tick)}</text>`;
}

/** Values under the axis; the last one carries the unit. */
function xAxis(ticks: number[], unit: string, x: (v: number) => number, right: number, bottom: number): Markup[] {
  return ticks.map((tick, index) => {
    const text = index === ticks.length - 1 ? `${tickText(tick)} ${unit}` : tickText(tick);
    const half = textWidth(text, 12) / 2;
    const [at, anchor] = index === 0 ? [x(tick), "start"] : [Math.min(x(tick), right - half), "middle"];
    return markup`<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="${bottom}" y2="${bottom + 4}" /><text class="tick" x="${round(at)}" y="${bottom + 18}" text-anchor="${anchor}">${text}</text>`;
  });
}

/** 1.5e-4, 0.25, 3, 12k: short, since many stand in a row. */
function tickText(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e4) return `${Number((value / 1000).toPrecision(6))}k`;
  if (size !== 0 && size < 1e-3) return value.toExponential().replace(/^(-?\d\.\d{1,2})\d*e/, "$1e");
  return String(Number(value.toPrecision(6)));
}
