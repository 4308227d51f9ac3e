/** Tables for the terminal: plain text without colours, so that a pipe gets the same. */
import Table from "cli-table3";
import { comparedFigures, type BenchCell } from "../bench/types.js";
import type { PerplexityReport } from "../evaluate/index.js";
import { DASH, formatNumber, formatRatio, formatShare } from "./format.js";

/** Rows under heads; columns after the first are right-aligned. */
export function terminalTable(heads: readonly string[], rows: readonly (readonly string[])[], leftColumns = 1): string {
  const table = new Table({
    head: [...heads],
    colAligns: heads.map((_, index) => (index < leftColumns ? "left" : "right")),
    style: { head: [], border: [], compact: true },
    chars: { mid: "", "left-mid": "", "mid-mid": "", "right-mid": "" },
  });
  table.push(...rows.map((row) => [...row]));
  return table.toString();
}

/** One row a cell, then the ratios when two engines were compared. `label` names an engine directory. */
export function benchTable(cells: readonly BenchCell[], label: (directory: string) => string = (name) => name): string {
  const heads = [
    "engine",
    "ISL",
    "OSL",
    "batch",
    "TTFT ms",
    "TPOT ms",
    "prefill tok/s",
    "decode tok/s",
    "GB/s (ceiling)",
    "GFLOP/s (ceiling)",
    "RSS MB",
  ];
  const rows = cells.map((cell) => [
    label(cell.engine) + (cell.disturbed === true ? " *" : ""),
    String(cell.isl),
    String(cell.osl),
    String(cell.batch),
    formatNumber(cell.ttftMs),
    formatNumber(cell.tpotMs),
    formatNumber(cell.prefillTokensPerSecond),
    formatNumber(cell.decodeTokensPerSecond),
    ofCeiling(cell.decodeGBps, cell.ceilingGBps),
    ofCeiling(cell.prefillGflops, cell.ceilingGflops),
    formatNumber(cell.peakRssMB),
  ]);
  const parts = [terminalTable(heads, rows)];
  const disturbed = cells.filter((cell) => cell.disturbed === true);
  if (disturbed.length > 0) {
    const worst = Math.max(...disturbed.map((cell) => cell.foreignCpuShare ?? 0));
    parts.push(`* disturbed: other programs took up to ${formatShare(worst)} of the machine's CPU time`);
  }
  const compared = cells.filter((cell) => cell.comparison !== undefined);
  if (compared.length > 0) parts.push(ratioTable(compared, label));
  return parts.join("\n");
}

function ofCeiling(value: number | null, ceiling: number): string {
  return value === null ? DASH : `${formatNumber(value)} (${formatShare(value / ceiling)})`;
}

function ratioTable(cells: readonly BenchCell[], label: (directory: string) => string): string {
  const heads = ["ratio (min to max)", "ISL", "OSL", "batch", "TTFT", "TPOT", "prefill", "decode"];
  const rows = cells.map((cell) => [
    `${label(cell.engine)} / ${label(cell.comparison?.baseline ?? "")}`,
    String(cell.isl),
    String(cell.osl),
    String(cell.batch),
    ...comparedFigures.map((figure) => {
      const ratio = cell.comparison?.ratios[figure] ?? null;
      return ratio === null
        ? DASH
        : `${formatRatio(ratio.median)} (${formatRatio(ratio.min)} to ${formatRatio(ratio.max)})`;
    }),
  ]);
  return terminalTable(heads, rows);
}

export function perplexityTable(rows: readonly (PerplexityReport & { engine: string })[]): string {
  const heads = ["engine", "perplexity", "NLL", "bits per byte", "tokens", "window", "stride"];
  return terminalTable(
    heads,
    rows.map((row) => [
      row.engine,
      row.perplexity.toFixed(4),
      row.nll.toFixed(6),
      row.bitsPerByte?.toFixed(4) ?? DASH,
      String(row.tokens),
      String(row.window),
      String(row.stride),
    ]),
  );
}
