/**
 * What all charts share: the outer SVG, rows in labelled groups, ticks, the horizontal axis, and text that fits. Charts
 * are functions from data to an SVG string; colours come from the page's style sheet through classes (s0, s1, ... for
 * the series).
 */
import { markup, type Markup } from "../markup.js";
import { formatNumber } from "../format.js";

/** Colours that the style sheet has. */
export const SERIES_COLOURS = 6;

export const ROW_HEIGHT = 15;
const ROW_GAP = 3;
const LABEL_HEIGHT = 19;
const GROUP_GAP = 13;
const AXIS_HEIGHT = 26;

/** What every chart is told. */
export interface ChartFrame {
  /** For screen readers: what is shown. */
  description: string;
  unit: string;
  series: string[];
  /** Colour class of the first series; the others follow. Default 0. */
  firstColour?: number;
  width: number;
}

export interface Group<Row> {
  label: string;
  /** One for each series. */
  rows: Row[];
}

export interface Scale {
  ticks: number[];
  /** Value to x. */
  at: (value: number) => number;
  format?: (value: number) => string;
  unit: string;
}

export function seriesClass(index: number): string {
  return `s${index % SERIES_COLOURS}`;
}

/** What is drawn of one series: its name and colour class. */
export interface Series {
  name: string;
  colour: string;
}

/** Draws the axis, and every row below its group's label. `draw` gets the row's top. */
export function groupedRows<Row>(
  frame: ChartFrame,
  groups: readonly Group<Row>[],
  scale: Scale,
  draw: (row: Row, series: Series, y: number) => Markup,
): string {
  const seriesAt = (index: number): Series => ({
    name: frame.series[index] ?? "",
    colour: seriesClass(index + (frame.firstColour ?? 0)),
  });
  const content: Markup[] = [];
  let y = 0;
  for (const group of groups) {
    content.push(groupLabel(group.label, y + 13, frame.width));
    for (const [index, row] of group.rows.entries())
      content.push(draw(row, seriesAt(index), y + LABEL_HEIGHT + index * (ROW_HEIGHT + ROW_GAP)));
    y += LABEL_HEIGHT + group.rows.length * (ROW_HEIGHT + ROW_GAP) + GROUP_GAP;
  }
  return svg(frame.width, y + AXIS_HEIGHT, frame.description, [...axis(scale, y), ...content]);
}

/** A scale from 0 to `top` over `width` pixels, with round ticks up to `top`. */
export function linearScale(top: number, width: number, unit: string): Scale {
  const ticks = niceTicks(top, width < 320 ? 3 : 5).filter((tick) => tick <= top * (1 + 1e-9));
  return { ticks, at: (value) => (value / top) * width, unit };
}

/** Round values from 0 up to the first that reaches `max`: steps of 1, 2, 2.5 or 5 times a power of ten. */
export function niceTicks(max: number, wanted: number): number[] {
  if (!Number.isFinite(max) || max <= 0) return [0, 1];
  const rough = max / Math.max(1, wanted);
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 2.5, 5, 10].find((step) => step * power >= rough * (1 - 1e-9)) ?? 10;
  const step = factor * power;
  const count = Math.max(1, Math.ceil(max / step - 1e-9));
  return Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(12)));
}

/** Width in pixels, near enough to place labels by. */
export function textWidth(text: string, size: number): number {
  let ems = 0;
  for (const character of text) ems += /[\u1100-\uffff]|[\u{10000}-\u{10ffff}]/u.test(character) ? 1 : 0.56;
  return ems * size;
}

/** Cuts the middle out of text that is too long. */
export function fitText(text: string, size: number, width: number): string {
  const characters = [...text];
  if (textWidth(text, size) <= width) return text;
  for (let keep = characters.length - 1; keep > 2; --keep) {
    const head = Math.ceil(keep / 2);
    const cut = `${characters.slice(0, head).join("")}…${characters.slice(characters.length - (keep - head)).join("")}`;
    if (textWidth(cut, size) <= width) return cut;
  }
  return "…";
}

/** Two decimals are plenty for coordinates. */
export function round(value: number): number {
  return Math.round(value * 100) / 100;
}

/** The value when it is a finite number. */
export function finite(value: number | null | undefined): number | null {
  return value !== null && value !== undefined && Number.isFinite(value) ? value : null;
}

/** In place of a row that has nothing to show. */
export function missingRow(y: number): Markup {
  return markup`<text class="none" x="6" y="${baseline(y)}">–</text>`;
}

/** Baseline of 12-pixel text in the middle of a row. */
export function baseline(y: number): number {
  return round(y + ROW_HEIGHT / 2 + 4);
}

/** A chart with nothing to show says so. */
export function emptyChart(frame: ChartFrame): string {
  return svg(frame.width, 48, frame.description, [
    markup`<text class="none" x="0" y="28">Nothing was measured.</text>`,
  ]);
}

function svg(width: number, height: number, description: string, content: readonly Markup[]): string {
  return markup`<svg viewBox="0 0 ${width} ${Math.ceil(height)}" role="img" aria-label="${description}">${content}</svg>`
    .text;
}

/** Vertical lines and their values; the last value carries the unit. */
function axis(scale: Scale, height: number): Markup[] {
  const format = scale.format ?? tickText;
  return scale.ticks.map((tick, index) => {
    const last = index === scale.ticks.length - 1;
    const text = last && scale.unit !== "" ? `${format(tick)} ${scale.unit}` : format(tick);
    const anchor = index === 0 ? "start" : "middle";
    const x = round(scale.at(tick));
    return markup`<line class="${index === 0 ? "zero" : "grid"}" x1="${x}" x2="${x}" y1="0" y2="${height}" /><text
        class="tick" x="${x}" y="${height + 17}" text-anchor="${anchor}">${text}</text>`;
  });
}

function tickText(value: number): string {
  if (Number.isInteger(value) || value >= 100) return Math.round(value).toLocaleString("en-US");
  return formatNumber(value).replace(/\.?0+$/, "");
}

function groupLabel(text: string, y: number, width: number): Markup {
  const fitted = fitText(text, 12, width);
  return markup`<text class="group" x="0" y="${y}">${fitted !== text && markup`<title>${text}</title>`}${fitted}</text>`;
}
