/**
 * What the page says in words and headline figures, computed from the data: which cell stands for all, and how the last
 * engine compares with the first.
 */
import type { BenchCell } from "../bench/types.js";
import { formatRatio } from "./format.js";
import type { ReportData, ReportEngine } from "./types.js";

export interface CellKey {
  isl: number;
  osl: number;
  batch: number;
}

/** Every ISL × OSL × batch that was measured, in the order of the data. */
export function cellKeys(data: ReportData): CellKey[] {
  const keys = new Map<string, CellKey>();
  for (const { isl, osl, batch } of data.cells) keys.set(`${isl} ${osl} ${batch}`, { isl, osl, batch });
  return [...keys.values()];
}

export function cellOf(data: ReportData, engine: ReportEngine, key: CellKey): BenchCell | undefined {
  return data.cells.find(
    (cell) =>
      cell.engine === engine.directory && cell.isl === key.isl && cell.osl === key.osl && cell.batch === key.batch,
  );
}

/** The cell of the headlines: the smallest batch, and of those the longest, that all engines have with decode figures. */
export function headlineKey(data: ReportData): CellKey | null {
  const complete = cellKeys(data).filter((key) =>
    data.engines.every((engine) => (cellOf(data, engine, key)?.decodeTokensPerSecond ?? null) !== null),
  );
  complete.sort((a, b) => a.batch - b.batch || b.isl + b.osl - (a.isl + a.osl));
  return complete[0] ?? null;
}

export function keyText(key: CellKey): string {
  return `ISL ${key.isl} · OSL ${key.osl} · batch ${key.batch}`;
}

export function perplexityOf(data: ReportData, engine: ReportEngine): number | null {
  return data.perplexity.find((row) => row.engine === engine.directory)?.perplexity ?? null;
}

/** One sentence: how the last engine differs from the first. null with a single engine. */
export function comparisonSentence(data: ReportData): string | null {
  const first = data.engines[0];
  const last = data.engines.at(-1);
  if (first === undefined || last === undefined || first === last) return null;
  const phrases: string[] = [phrase(first.sizeBytes / last.sizeBytes, "smaller", "larger")];
  const key = headlineKey(data);
  if (key !== null) {
    const [a, b] = [cellOf(data, first, key), cellOf(data, last, key)];
    phrases.push(
      `decodes ${phrase((b?.decodeTokensPerSecond ?? NaN) / (a?.decodeTokensPerSecond ?? NaN), "faster", "slower")}`,
    );
    phrases.push(`gives its first token ${phrase((a?.ttftMs ?? NaN) / (b?.ttftMs ?? NaN), "sooner", "later")}`);
  }
  const quality = (perplexityOf(data, last) ?? NaN) / (perplexityOf(data, first) ?? NaN);
  const known = phrases.filter((text) => !text.includes("NaN"));
  const ending = Number.isFinite(quality) ? `; its perplexity ${perplexityPhrase(quality)}` : "";
  return `Against ${first.label}, ${last.label} is ${list(known)}${ending}.`;
}

function phrase(ratio: number, better: string, worse: string): string {
  if (!Number.isFinite(ratio)) return "NaN";
  if (Math.abs(ratio - 1) < 0.005) return `no ${better}`;
  return ratio > 1 ? `${formatRatio(ratio)} ${better}` : `${formatRatio(1 / ratio)} ${worse}`;
}

function perplexityPhrase(ratio: number): string {
  const percent = 100 * (ratio - 1);
  if (Math.abs(percent) < 0.05) return "is the same";
  return `is ${Math.abs(percent).toFixed(Math.abs(percent) < 10 ? 1 : 0)}\u00a0% ${percent > 0 ? "higher" : "lower"}`;
}

function list(phrases: readonly string[]): string {
  if (phrases.length < 2) return phrases.join("");
  return `${phrases.slice(0, -1).join(", ")} and ${phrases.at(-1) ?? ""}`;
}
