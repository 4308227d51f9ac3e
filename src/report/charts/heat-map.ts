// SPDX-License-Identifier: Apache-2.0
/**
 * Rows of values as colours: scores of channels, layer by layer. Neighbouring columns are averaged where there are more
 * than can be seen; colours run with the logarithm of the value between the 1st and the 99th percentile of all cells.
 */
import { formatNumber } from "../format.js";
import { markup, type Markup } from "../markup.js";
import { HEAT_LEVELS } from "../style.js";
import { emptyChart, niceTicks, round, textWidth } from "./frame.js";

export interface HeatRow {
  label: string;
  /** All rows have as many. */
  values: ArrayLike<number>;
}

export interface HeatFrame {
  /** For screen readers: what is shown. */
  description: string;
  /** Under the columns: "channel". */
  columns: string;
  width: number;
  /** Most columns drawn. Default: 256. */
  maxColumns?: number;
}

/** What of the values is drawn. */
export interface HeatCells {
  /** Neighbouring values that one cell is the mean of. */
  binSize: number;
  /** [rows][columns] */
  cells: number[][];
  /** Values of the lightest and the strongest colour; null: no value is above zero. */
  range: { low: number; high: number } | null;
}

export const MAX_COLUMNS = 256;
const TOP = 6;
const AXIS_HEIGHT = 22;
const LEGEND_HEIGHT = 34;
const LABEL_HEIGHT = 14;
/** So few columns are labelled one by one. */
const FEW_COLUMNS = 16;

export function heatMap(frame: HeatFrame, rows: readonly HeatRow[]): string {
  const { description, width } = frame;
  const { cells, range, binSize } = heatCells(
    rows.map(({ values }) => values),
    frame.maxColumns,
  );
  const columns = cells[0]?.length ?? 0;
  if (columns === 0) return emptyChart({ description, unit: "", series: [], width });
  const left = Math.ceil(Math.max(...rows.map(({ label }) => textWidth(label, 12)))) + 8;
  const rowHeight = round(Math.min(22, Math.max(4, 240 / rows.length)));
  const bottom = TOP + rows.length * rowHeight;
  const mapWidth = width - left - 4;
  const every = Math.max(1, Math.ceil(LABEL_HEIGHT / rowHeight));
  const labels = rows.map(
    ({ label }, row) =>
      row % every === 0 &&
      markup`<text class="tick" x="${left - 6}" y="${round(TOP + (row + 0.5) * rowHeight + 4)}" text-anchor="end">${label}</text>`,
  );
  const scale = `translate(${left} ${TOP}) scale(${round((1000 * mapWidth) / columns) / 1000} ${rowHeight})`;
  const drawn = cells.map((values, row) => drawRow(values, row, rows[row]!.label, range));
  const values = rows[0]!.values.length;
  const content = [
    ...labels,
    markup`<g class="heat" transform="${scale}">${drawn}</g>`,
    ...columnAxis(frame.columns, values, binSize, { left, bottom, cell: mapWidth / columns }),
    legend(range, left, bottom + AXIS_HEIGHT, width),
  ];
  return markup`<svg viewBox="0 0 ${width} ${Math.ceil(bottom + AXIS_HEIGHT + LEGEND_HEIGHT)}" role="img" aria-label="${description}">${content}</svg>`
    .text;
}

/** Means of neighbouring values, and the values that the colours span. */
export function heatCells(rows: readonly ArrayLike<number>[], maxColumns = MAX_COLUMNS): HeatCells {
  const width = rows[0]?.length ?? 0;
  const binSize = Math.max(1, Math.ceil(width / maxColumns));
  const cells = rows.map((values) =>
    Array.from({ length: Math.ceil(width / binSize) }, (_, bin) => {
      const end = Math.min(width, (bin + 1) * binSize);
      let sum = 0;
      for (let i = bin * binSize; i < end; ++i) sum += values[i] as number;
      return sum / (end - bin * binSize);
    }),
  );
  const positive = cells.flat().filter((value) => value > 0 && Number.isFinite(value));
  if (positive.length === 0) return { binSize, cells, range: null };
  positive.sort((a, b) => a - b);
  const at = (share: number): number => positive[Math.round(share * (positive.length - 1))] as number;
  return { binSize, cells, range: { low: at(0.01), high: at(0.99) } };
}

/** 0 .. HEAT_LEVELS - 1; null for what is no number. */
export function heatLevel(value: number, range: HeatCells["range"]): number | null {
  if (Number.isNaN(value)) return null;
  if (range === null || !(value > range.low)) return 0;
  if (value >= range.high) return HEAT_LEVELS - 1;
  return Math.round((HEAT_LEVELS - 1) * (Math.log(value / range.low) / Math.log(range.high / range.low)));
}

/** One path for each colour, a stroke for each run of cells that have it; units are cells. */
function drawRow(values: readonly number[], row: number, label: string, range: HeatCells["range"]): Markup {
  const paths = new Map<number, string>();
  for (let begin = 0, end = 0; begin < values.length; begin = end) {
    const level = heatLevel(values[begin]!, range);
    for (end = begin + 1; end < values.length && heatLevel(values[end]!, range) === level;) end += 1;
    if (level !== null) paths.set(level, `${paths.get(level) ?? ""}M${begin} ${row + 0.5}h${end - begin}`);
  }
  const [low, high] = values.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  const drawn = [...paths].map(([level, path]) => markup`<path class="h${level}" d="${path}" />`);
  return markup`<g><title>${label}: ${scoreText(low)} to ${scoreText(high)}</title>${drawn}</g>`;
}

interface Place {
  left: number;
  bottom: number;
  /** Width of a cell. */
  cell: number;
}

/** Indices from 0; the last one carries the name. */
function columnAxis(name: string, values: number, binSize: number, { left, bottom, cell }: Place): Markup[] {
  const few = values <= FEW_COLUMNS;
  const ticks = few
    ? Array.from({ length: values }, (_, i) => i)
    : niceTicks(values, cell * (values / binSize) < 400 ? 3 : 6).filter((tick) => tick < values);
  const right = left + (cell * values) / binSize;
  return ticks.map((tick, index) => {
    const text = index === ticks.length - 1 ? `${name} ${tick}` : String(tick);
    const at = left + cell * (tick / binSize + (few ? 0.5 : 0));
    const half = textWidth(text, 12) / 2;
    const x = round(Math.min(Math.max(at, left + (few ? 0 : half)), right - half));
    return markup`<text class="tick" x="${x}" y="${round(bottom + 15)}" text-anchor="middle">${text}</text>`;
  });
}

/** Under the map's left edge, further left where it would leave the picture. */
function legend(range: HeatCells["range"], mapLeft: number, top: number, pictureWidth: number): Markup {
  if (range === null) return markup`<text class="none" x="0" y="${top + 18}">No value is above zero.</text>`;
  const width = 9;
  const [low, high] = [`≤ ${scoreText(range.low)}`, `≥ ${scoreText(range.high)}`];
  const needed = textWidth(low, 12) + textWidth(high, 12) + HEAT_LEVELS * width + 16;
  const left = round(Math.max(0, Math.min(mapLeft, pictureWidth - needed)));
  const start = round(left + textWidth(low, 12) + 8);
  const boxes = Array.from(
    { length: HEAT_LEVELS },
    (_, level) =>
      markup`<rect class="h${level}" x="${start + level * width}" y="${top + 8}" width="${width}" height="10" />`,
  );
  return markup`<text class="tick" x="${left}" y="${top + 18}">${low}</text>${boxes}<text class="tick" x="${start + HEAT_LEVELS * width + 8}" y="${top + 18}">${high}</text>`;
}

/** Scores span many powers of ten. */
function scoreText(value: number): string {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-2 || size >= 1e6) ? value.toExponential(1).replace("e+", "e") : formatNumber(value);
}
