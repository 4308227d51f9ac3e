// SPDX-License-Identifier: Apache-2.0
/** Size, quality and speed of the models of a run, the first one being what the others are measured against. */
import { cellOf, headlineKey, keyText, type CellKey } from "../comparison.js";
import { DASH, formatBytes, formatCount, formatNumber, formatRatio } from "../format.js";
import { htmlTable, type Column } from "../html-table.js";
import { markup, type Markup } from "../markup.js";
import type { BenchCell } from "../../bench/types.js";
import type { CompressModel, CompressReportData } from "./data.js";

export function modelsTable(data: CompressReportData): Markup {
  const { models } = data;
  if (models.length === 0) return markup``;
  return markup`<section><h2>Size, quality and speed</h2><p class="intro">${intro(data)}</p>${htmlTable(columnsOf(data), models)}</section>`;
}

function intro({ models, measured }: CompressReportData): string {
  const corpora = [...new Set(models.flatMap(({ corpus }) => corpus ?? []))];
  const text = corpora.length === 0 ? "" : ` Perplexity is on ${corpora.join(", ")}; lower is better.`;
  const tokens = models.find(({ largestTokens }) => largestTokens !== null)?.largestTokens;
  const batch =
    tokens == null
      ? ""
      : ` The largest batch is what fits into the memory that was free, at ${tokens} tokens a sequence.`;
  const key = headlineKey(measured);
  const speed = key === null ? "" : ` Speeds are at ${keyText(key)}; the other cells are below.`;
  return `Changes are against ${models[0]!.label}.${text}${speed}${batch}`;
}

function columnsOf(data: CompressReportData): Column<CompressModel>[] {
  const { models } = data;
  const first = models[0]!;
  const has = (of: (model: CompressModel) => number | null): boolean => models.some((model) => of(model) !== null);
  const columns: Column<CompressModel>[] = [
    { head: "Model", text: ({ label }) => label },
    { head: "Weights", text: ({ weights }) => weights },
    { head: "Parameters", text: (model) => part(formatCount(model.parameters), model.parameters / first.parameters) },
    { head: "Size", text: (model) => part(formatBytes(model.sizeBytes), model.sizeBytes / first.sizeBytes) },
  ];
  if (has(({ perplexity }) => perplexity))
    columns.push({ head: "Perplexity", text: ({ perplexity }) => number(perplexity, 2) });
  if (has(({ bitsPerByte }) => bitsPerByte))
    columns.push({ head: "Bits", unit: "per byte", text: ({ bitsPerByte }) => number(bitsPerByte, 4) });
  columns.push(...taskColumns(models));
  if (has(({ recovery }) => recovery))
    columns.push({ head: "Recovery", text: ({ recovery }) => (recovery === null ? DASH : `${recovery.toFixed(1)} %`) });
  const key = headlineKey(data.measured);
  if (key !== null) columns.push(...speedColumns(data, key));
  if (has(({ largestBatch }) => largestBatch))
    columns.push({ head: "Largest batch", text: ({ largestBatch }) => largestBatch?.toLocaleString("en-US") ?? DASH });
  return columns;
}

function taskColumns(models: readonly CompressModel[]): Column<CompressModel>[] {
  const names = [...new Set(models.flatMap(({ tasks }) => Object.keys(tasks)))];
  return names.map((name) => ({
    head: name,
    unit: models.find(({ tasks }) => name in tasks)?.tasks[name]?.metric ?? "",
    text: ({ tasks }) => {
      const score = tasks[name];
      if (score === undefined) return DASH;
      const error = score.stderr === null ? "" : ` ± ${score.stderr.toFixed(3)}`;
      return markup`${score.value.toFixed(4)}<small>${error}</small>`;
    },
  }));
}

function speedColumns(data: CompressReportData, key: CellKey): Column<CompressModel>[] {
  const cell = (model: CompressModel): BenchCell | undefined => {
    const engine = data.measured.engines.find(({ directory }) => directory === model.engine);
    return engine === undefined ? undefined : cellOf(data.measured, engine, key);
  };
  const first = cell(data.models[0]!);
  const speed = (of: (cell: BenchCell) => number | null) => (model: CompressModel) => {
    const value = read(cell(model), of);
    const base = read(first, of);
    return part(formatNumber(value), value === null || base === null ? null : value / base);
  };
  return [
    { head: "TTFT", unit: "ms", text: (model) => formatNumber(read(cell(model), (row) => row.ttftMs)) },
    { head: "Prefill", unit: "tok/s", text: speed((row) => row.prefillTokensPerSecond) },
    { head: "Decode", unit: "tok/s", text: speed((row) => row.decodeTokensPerSecond) },
    { head: "Requests", unit: "per s", text: speed((row) => row.requestsPerSecond) },
  ];
}

function read(cell: BenchCell | undefined, of: (cell: BenchCell) => number | null): number | null {
  return cell === undefined ? null : of(cell);
}

/** A figure, and what part of the first model's it is. */
function part(text: string, ratio: number | null): Markup {
  return markup`${text}${ratio !== null && Math.abs(ratio - 1) > 1e-9 && markup` <small>${formatRatio(ratio)}</small>`}`;
}

function number(value: number | null, digits: number): string {
  return value === null ? DASH : value.toFixed(digits);
}
