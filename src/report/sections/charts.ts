/** The figures: each is drawn for a wide and a narrow page, and the style sheet shows one of them. */
import type { BenchCell } from "../../bench/types.js";
import { ceilingBars } from "../charts/ceiling-bars.js";
import type { ChartFrame, Group } from "../charts/frame.js";
import { groupedBars, type Bar } from "../charts/grouped-bars.js";
import { percentileRanges } from "../charts/percentile-ranges.js";
import { cellKeys, cellOf, keyText } from "../comparison.js";
import { markup, Markup } from "../markup.js";
import { seriesOf, seriesOffset } from "../series.js";
import type { ReportData } from "../types.js";

const WIDE = 500;
const NARROW = 320;

interface Figure {
  title: string;
  note: string;
  unit: string;
  draw: (frame: ChartFrame) => string;
}

export function speedSection(data: ReportData): Markup {
  const intro = "Medians over the repeats; the thin line is the range from slowest to fastest.";
  return figures(data, "Speed", `${intro}${disturbance(data)}`, [
    bars(data, "Decode", "tok/s", "Tokens generated per second while all requests are decoding.", (cell) => ({
      value: cell.decodeTokensPerSecond,
      spread: cell.spread.decodeTokensPerSecond,
    })),
    bars(data, "Prefill", "tok/s", "Prompt tokens worked through per second.", (cell) => ({
      value: cell.prefillTokensPerSecond,
      spread: cell.spread.prefillTokensPerSecond,
    })),
  ]);
}

/** Whoever reads the charts should know before the table tells. */
function disturbance(data: ReportData): string {
  const disturbed = data.cells.filter((cell) => cell.disturbed === true).length;
  if (disturbed === 0) return "";
  const some = `${disturbed} of ${data.cells.length} cells ${disturbed === 1 ? "was" : "were"}`;
  const which = disturbed === data.cells.length ? "All cells were" : some;
  return ` ${which} disturbed by other programs: read them with care.`;
}

export function latencySection(data: ReportData): Markup {
  return figures(data, "Latency", "What one request sees.", [
    bars(
      data,
      "Time to first token",
      "ms",
      "From handing a request in to its first token. Lower is better.",
      (cell) => ({
        value: cell.ttftMs,
        spread: cell.spread.ttftMs,
      }),
    ),
    {
      title: "Time between tokens",
      note: "Dot: median. Thick line: to the 90th percentile. Tick: 99th. Lower is better.",
      unit: "ms",
      draw: (frame) =>
        percentileRanges(
          frame,
          groupsOf(data, (cell) => ({
            p50: cell?.itlP50Ms ?? null,
            p90: cell?.itlP90Ms ?? null,
            p99: cell?.itlP99Ms ?? null,
          })),
        ),
    },
  ]);
}

export function ceilingSection(data: ReportData): Markup {
  const kinds = [...new Set(data.cells.map((cell) => cell.ceilingKind))].join(" and ");
  return figures(
    data,
    "Against this machine's ceilings",
    "How much of what the machine can do was put to use. The ceilings were measured in the same process, before and after each cell.",
    [
      {
        title: "Memory bandwidth in decode",
        note: "Weights and cache read per second, of a loop that only reads memory.",
        unit: "GB/s",
        draw: (frame) =>
          ceilingBars(
            frame,
            groupsOf(data, (cell) => ({ achieved: cell?.decodeGBps ?? null, ceiling: cell?.ceilingGBps ?? NaN })),
          ),
      },
      {
        title: "Arithmetic in prefill",
        note: `Multiplications and additions per second, of a loop in registers that does nothing else (${kinds}).`,
        unit: "GFLOP/s",
        draw: (frame) =>
          ceilingBars(
            frame,
            groupsOf(data, (cell) => ({ achieved: cell?.prefillGflops ?? null, ceiling: cell?.ceilingGflops ?? NaN })),
          ),
      },
    ],
  );
}

function groupsOf<Row>(data: ReportData, row: (cell: BenchCell | undefined) => Row): Group<Row>[] {
  return cellKeys(data).map((key) => ({
    label: keyText(key),
    rows: data.engines.map((engine) => row(cellOf(data, engine, key))),
  }));
}

function bars(
  data: ReportData,
  title: string,
  unit: string,
  note: string,
  figure: (cell: BenchCell) => { value: number | null; spread: { min: number; max: number } | null },
): Figure {
  const bar = (cell: BenchCell | undefined): Bar => {
    if (cell === undefined) return { value: null };
    const { value, spread } = figure(cell);
    return spread === null ? { value } : { value, low: spread.min, high: spread.max };
  };
  return { title, note, unit, draw: (frame) => groupedBars(frame, groupsOf(data, bar)) };
}

function figures(data: ReportData, title: string, intro: string, list: readonly Figure[]): Markup {
  const legend = data.engines.map(
    (engine, index) => markup`<li><i class="swatch ${seriesOf(data, index)}"></i>${engine.label}</li>`,
  );
  return markup`<section><div class="heading"><h2>${title}</h2>${data.engines.length > 1 && markup`<ul class="legend">${legend}</ul>`}</div>
<p class="intro">${intro}</p>
<div class="figures">${list.map((figure) => drawFigure(data, figure))}</div></section>`;
}

function drawFigure(data: ReportData, figure: Figure): Markup {
  const at = (width: number): Markup =>
    new Markup(
      figure.draw({
        width,
        unit: figure.unit,
        description: `${figure.title} in ${figure.unit} for every engine and cell; the values are in the table of all cells`,
        series: data.engines.map((engine) => engine.label),
        firstColour: seriesOffset(data),
      }),
    );
  return markup`<figure><figcaption><h3>${figure.title}</h3><p>${figure.note}</p></figcaption>
<div class="wide">${at(WIDE)}</div><div class="narrow">${at(NARROW)}</div></figure>`;
}
