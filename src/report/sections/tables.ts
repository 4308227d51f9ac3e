/** Tables: every cell, the ratios of a comparison, perplexity, and what the engines are. */
import type { BenchCell } from "../../bench/types.js";
import { comparedFigures, type ComparedFigure } from "../../bench/types.js";
import { DASH, formatBytes, formatCount, formatMs, formatNumber, formatRatio, formatShare } from "../format.js";
import { htmlTable, type Column } from "../html-table.js";
import { markup, type Markup } from "../markup.js";
import { seriesOf } from "../series.js";
import type { ReportData, ReportEngine } from "../types.js";

export function engineName(data: ReportData, directory: string): Markup {
  const index = data.engines.findIndex((engine) => engine.directory === directory);
  if (index < 0) return markup`${directory}`;
  return markup`<i class="swatch ${seriesOf(data, index)}"></i>${data.engines[index]?.label ?? directory}`;
}

function nameColumns(data: ReportData): Column<BenchCell>[] {
  return [
    { head: "Engine", text: (cell) => engineName(data, cell.engine) },
    { head: "ISL", text: (cell) => String(cell.isl) },
    { head: "OSL", text: (cell) => String(cell.osl) },
    { head: "Batch", text: (cell) => String(cell.batch) },
  ];
}

const speedColumns: Column<BenchCell>[] = [
  { head: "TTFT", unit: "ms", text: (cell) => formatNumber(cell.ttftMs) },
  { head: "TPOT", unit: "ms", text: (cell) => formatNumber(cell.tpotMs) },
  { head: "ITL p50", unit: "ms", text: (cell) => formatNumber(cell.itlP50Ms) },
  { head: "ITL p90", unit: "ms", text: (cell) => formatNumber(cell.itlP90Ms) },
  { head: "ITL p99", unit: "ms", text: (cell) => formatNumber(cell.itlP99Ms) },
  { head: "Prefill", unit: "tok/s", text: (cell) => formatNumber(cell.prefillTokensPerSecond) },
  { head: "Decode", unit: "tok/s", text: (cell) => formatNumber(cell.decodeTokensPerSecond) },
  { head: "Requests", unit: "per s", text: (cell) => formatNumber(cell.requestsPerSecond) },
];

const machineColumns: Column<BenchCell>[] = [
  { head: "Decode", unit: "GB/s", text: (cell) => formatNumber(cell.decodeGBps) },
  { head: "Ceiling", unit: "GB/s", text: (cell) => formatNumber(cell.ceilingGBps) },
  { head: "Prefill", unit: "GFLOP/s", text: (cell) => formatNumber(cell.prefillGflops) },
  { head: "Ceiling", unit: "GFLOP/s", text: (cell) => formatNumber(cell.ceilingGflops) },
  { head: "Peak RSS", unit: "MB", text: (cell) => formatNumber(cell.peakRssMB) },
  { head: "Load", unit: "ms", text: (cell) => formatNumber(cell.loadMs) },
  { head: "Repeats", unit: "attempts", text: (cell) => `${cell.repeats} (${cell.attempts})` },
  { head: "Other load", unit: "of CPU", text: loadText },
];

export function cellsTable(data: ReportData): Markup {
  if (data.cells.length === 0) return markup``;
  const names = nameColumns(data);
  return markup`<section><h2>All cells</h2>${htmlTable([...names, ...speedColumns], data.cells)}
${htmlTable([...names, ...machineColumns], data.cells)}
${data.cells.some((cell) => cell.disturbed) && markup`<p class="note">Marked cells were disturbed by other programs in every attempt: more than 5 % of the machine's CPU time went elsewhere.</p>`}
${data.cells.some((cell) => cell.overlap === "partial") && markup`<p class="note">In cells marked ‡ the requests never all decoded together; their decode figures include prompts of other requests.</p>`}</section>`;
}

function loadText(cell: BenchCell): Markup {
  const marks = cell.overlap === "partial" ? " ‡" : "";
  const share = formatShare(cell.foreignCpuShare);
  return cell.disturbed === true ? markup`<mark>${share}</mark>${marks}` : markup`${share}${marks}`;
}

const ratioHeads: Record<ComparedFigure, string> = {
  ttftMs: "TTFT",
  tpotMs: "TPOT",
  prefillTokensPerSecond: "Prefill speed",
  decodeTokensPerSecond: "Decode speed",
};

/** Only when engines were measured turn by turn. */
export function ratiosTable(data: ReportData): Markup {
  const rows = data.cells.filter((cell) => cell.comparison !== undefined);
  if (rows.length === 0) return markup``;
  const columns: Column<BenchCell>[] = [
    {
      head: "Engine",
      text: (cell) => markup`${engineName(data, cell.engine)} / ${engineLabel(data, cell.comparison?.baseline)}`,
    },
    { head: "ISL", text: (cell) => String(cell.isl) },
    { head: "OSL", text: (cell) => String(cell.osl) },
    { head: "Batch", text: (cell) => String(cell.batch) },
    ...comparedFigures.map((figure) => ({
      head: ratioHeads[figure],
      text: (cell: BenchCell) => {
        const ratio = cell.comparison?.ratios[figure] ?? null;
        if (ratio === null) return DASH;
        return markup`${formatRatio(ratio.median)} <small>${formatRatio(ratio.min)} to ${formatRatio(ratio.max)}</small>`;
      },
    })),
  ];
  return markup`<section><h2>Side by side</h2><p class="intro">Both engines took turns, repeat by repeat; ratios are of neighbouring repeats: median, smallest and largest.</p>${htmlTable(columns, rows)}</section>`;
}

function engineLabel(data: ReportData, directory: string | undefined): string {
  return data.engines.find((engine) => engine.directory === directory)?.label ?? directory ?? DASH;
}

export function perplexityTable(data: ReportData): Markup {
  if (data.perplexity.length === 0) return markup``;
  const first = data.perplexity[0]?.perplexity ?? NaN;
  const columns: Column<ReportData["perplexity"][number]>[] = [
    { head: "Engine", text: (row) => engineName(data, row.engine) },
    { head: "Perplexity", text: (row) => row.perplexity.toFixed(row.perplexity < 1000 ? 3 : 0) },
    { head: "Against first", text: (row) => changeText(row.perplexity / first) },
    { head: "NLL", unit: "nats", text: (row) => row.nll.toFixed(4) },
    { head: "Tokens", unit: "predicted", text: (row) => row.tokens.toLocaleString("en-US") },
    { head: "Window", unit: "tokens", text: (row) => String(row.window) },
    { head: "Stride", unit: "tokens", text: (row) => String(row.stride) },
    { head: "Text", text: (row) => row.corpus },
  ];
  return markup`<section><h2>Quality</h2><p class="intro">How surprised each engine is by text it has not seen. Lower is better.</p>${htmlTable(columns, data.perplexity)}</section>`;
}

function changeText(ratio: number): string {
  if (!Number.isFinite(ratio) || ratio === 1) return DASH;
  return `${ratio > 1 ? "+" : "−"}${Math.abs(100 * (ratio - 1)).toFixed(2)} %`;
}

export function enginesTable(data: ReportData): Markup {
  const facts = [...new Set(data.engines.flatMap((engine) => Object.keys(engine.facts)))];
  const rows: { name: string; of: (engine: ReportEngine) => string }[] = [
    { name: "Made from", of: (engine) => `${engine.source.name} (${engine.source.format})` },
    { name: "Parameters", of: (engine) => formatCount(engine.source.parameters) },
    { name: "Size on disk", of: (engine) => formatBytes(engine.sizeBytes) },
    { name: "Weight formats", of: formatsText },
    { name: "Load time", of: (engine) => formatMs(loadMs(data, engine)) },
    ...facts.map((name) => ({ name, of: (engine: ReportEngine) => String(engine.facts[name] ?? DASH) })),
  ];
  const heads = data.engines.map((engine) => markup`<th scope="col">${engineName(data, engine.directory)}</th>`);
  const body = rows.map(
    ({ name, of }) =>
      markup`<tr><th scope="row">${name}</th>${data.engines.map((engine) => markup`<td>${of(engine)}</td>`)}</tr>`,
  );
  return markup`<section><h2>Engines</h2><div class="scroll"><table class="facts"><thead><tr><td></td>${heads}</tr></thead><tbody>${body}</tbody></table></div></section>`;
}

function formatsText(engine: ReportEngine): string {
  const rows = Object.entries(engine.formats).sort((a, b) => b[1] - a[1]);
  return rows.map(([format, bytes]) => `${format} ${formatBytes(bytes)}`).join(", ");
}

/** Median over the cells. */
function loadMs(data: ReportData, engine: ReportEngine): number | null {
  const times = data.cells.filter((cell) => cell.engine === engine.directory).map((cell) => cell.loadMs);
  return times.sort((a, b) => a - b)[Math.floor(times.length / 2)] ?? null;
}
