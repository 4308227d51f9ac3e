// SPDX-License-Identifier: Apache-2.0
/**
 * Measures a quantized model against its source, both as engines that are removed afterwards, and writes the page.
 */
import { mkdir, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { bench, type BenchCell } from "../bench/index.js";
import type { Checkpoint, WeightDtype } from "../checkpoint/index.js";
import { buildEngine, Engine, readEngineManifest } from "../engine/index.js";
import { EspalierError } from "../errors.js";
import { evaluatePerplexity, type PerplexityReport } from "../evaluate/index.js";
import { withOwnLock } from "../files/lock.js";
import { readText } from "../files/read-text.js";
import { replaceFile } from "../files/replace-file.js";
import type { ModelSpec } from "../model/spec.js";
import { renderQuantizationReport, reportEngine, reportMachine, type ReportData } from "../report/index.js";
import { tokenizerFromCheckpoint } from "../tokenizer/index.js";
import { version } from "../version.js";
import { quantizeError, type ResolvedQuantizeOptions } from "./config.js";
import type { QuantizedWeightReport } from "./write-weights.js";
import { schemes } from "./schemes.js";

/** Of the source or the quantized model, as an engine. */
export interface MeasuredModel {
  engineBytes: number;
  /** null: no text was given. */
  perplexity: PerplexityReport | null;
  decodeTokensPerSecond: number | null;
  prefillTokensPerSecond: number | null;
}

export interface QuantizationMeasurement {
  report: string;
  source: MeasuredModel;
  quantized: MeasuredModel;
}

export interface MeasureProgress {
  /** "building f16" */
  what: string;
  done: number;
  total: number;
}

export interface MeasureHooks {
  signal?: AbortSignal;
  onMeasure?: (progress: MeasureProgress) => void;
}

const WINDOW = 512;
const MAX_TOKENS = 16384;
/** Of a text longer than this a window is filled, as good as always. */
const CHARACTERS_PER_TOKEN = 64;
const SPEED = { isl: [128], osl: [32], batch: [1], repeats: 3, maxAttempts: 1 };

/** Before hours of work: what the report will read must be there, and the place it will be written to. */
export async function checkReport(checkpoint: Checkpoint, options: ResolvedQuantizeOptions): Promise<void> {
  const { perplexity, report, out } = options;
  if (report !== undefined && (out === undefined || dirname(resolve(report)) !== resolve(out)))
    await checkFolder(report);
  if (perplexity !== undefined) await checkText(perplexity, checkpoint, options.maxTokens ?? MAX_TOKENS);
}

async function checkFolder(report: string): Promise<void> {
  const folder = dirname(resolve(report));
  const found = await stat(folder).catch((error: NodeJS.ErrnoException) => {
    throw new EspalierError("ERR_FILE_WRITE", `report: ${report}: ${error.message}`, { cause: error });
  });
  if (!found.isDirectory()) throw new EspalierError("ERR_FILE_WRITE", `report: ${report}: ${folder} is no directory`);
}

async function checkText(perplexity: string, checkpoint: Checkpoint, maxTokens: number): Promise<void> {
  const isFile = await stat(perplexity).then(
    (found) => found.isFile(),
    (error: NodeJS.ErrnoException) => {
      throw new EspalierError("ERR_FILE_READ", `perplexity: ${perplexity}: ${error.message}`, { cause: error });
    },
  );
  if (!isFile) throw quantizeError(`perplexity: expected a text file, ${perplexity} is none`);
  await using tokenizer = await tokenizerFromCheckpoint(checkpoint);
  if (tokenizer === null)
    throw quantizeError(`perplexity: ${checkpoint.path} has no tokenizer, the text cannot be read by it`);
  const text = await readText(perplexity);
  const window = windowOf(checkpoint.spec);
  const ids = await tokenizer.encode(text.slice(0, window * CHARACTERS_PER_TOKEN), { addSpecialTokens: true });
  const found = Math.min(ids.length, maxTokens);
  if (found < window && (text.length <= window * CHARACTERS_PER_TOKEN || maxTokens < window))
    throw new EspalierError(
      "ERR_TEXT_TOO_SHORT",
      `perplexity: ${perplexity}: expected at least ${window} tokens (one window), found ${found}`,
    );
}

function windowOf({ maxPositions }: ModelSpec): number {
  return Math.min(WINDOW, maxPositions);
}

/** Writes the page `options.report`. `dtype` is what the source is built in. */
export async function reportQuantization(
  options: ResolvedQuantizeOptions & { report: string; out: string },
  dtype: WeightDtype,
  weights: readonly QuantizedWeightReport[],
  hooks: MeasureHooks,
): Promise<QuantizationMeasurement> {
  const place = resolve(options.out);
  const work = join(dirname(place), `.${basename(place)}.espalier-report`);
  const busy = `${options.out}: another process measures it`;
  return withOwnLock(`${work}-lock`, { signal: hooks.signal, busy }, () =>
    measureIn(work, options, dtype, weights, hooks),
  );
}

async function measureIn(
  work: string,
  options: ResolvedQuantizeOptions & { report: string; out: string },
  dtype: WeightDtype,
  weights: readonly QuantizedWeightReport[],
  hooks: MeasureHooks,
): Promise<QuantizationMeasurement> {
  // What a process that was killed left.
  await rm(work, { recursive: true, force: true });
  await mkdir(work);
  try {
    const engines = [join(work, "source"), join(work, "quantized")] as const;
    const labels = [dtype, labelOf(options, dtype, weights.length > 0)] as const;
    const floats = weights.length === 0 || options.simulate;
    await build(options.model, engines[0], labels[0], dtype, hooks);
    await build(options.out, engines[1], labels[1], floats ? dtype : undefined, hooks);
    const perplexity = [
      await perplexityOf(engines[0], labels[0], options, hooks),
      await perplexityOf(engines[1], labels[1], options, hooks),
    ] as const;
    const cells = await speedOf(engines, hooks);
    const manifests = [await readEngineManifest(engines[0]), await readEngineManifest(engines[1])] as const;
    const measured: ReportData = {
      title: "",
      createdAt: new Date().toISOString(),
      espalierVersion: version,
      machine: reportMachine(),
      engines: manifests.map((manifest, index) => reportEngine(engines[index]!, labels[index]!, manifest)),
      cells,
      perplexity: perplexity.flatMap((row, index) =>
        row === null ? [] : [{ ...row, engine: engines[index]!, corpus: basename(options.perplexity ?? "") }],
      ),
      samples: [],
      commands: commandsOf(options, dtype, floats),
    };
    const page = {
      model: basename(options.model),
      scheme: labels[1],
      weights,
      measured,
      gentler: gentlerThan(options),
    };
    await replaceFile(options.report, renderQuantizationReport(page));
    const facts = (index: 0 | 1): MeasuredModel => {
      const cell = cells.find(({ engine }) => engine === engines[index]);
      return {
        engineBytes: manifests[index].weights.sizeBytes,
        perplexity: perplexity[index],
        decodeTokensPerSecond: cell?.decodeTokensPerSecond ?? null,
        prefillTokensPerSecond: cell?.prefillTokensPerSecond ?? null,
      };
    };
    return { report: options.report, source: facts(0), quantized: facts(1) };
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

function labelOf({ scheme, kvCache, rotate }: ResolvedQuantizeOptions, dtype: WeightDtype, hasCodes: boolean): string {
  const weights = scheme !== "none" ? scheme : hasCodes ? "mixed" : dtype;
  return [weights, ...(rotate ? ["rotated"] : []), ...(kvCache === undefined ? [] : [`${kvCache} cache`])].join(", ");
}

async function build(
  model: string,
  directory: string,
  label: string,
  weights: WeightDtype | undefined,
  { signal, onMeasure }: MeasureHooks,
): Promise<void> {
  await buildEngine(model, directory, {
    ...(weights === undefined ? {} : { weights }),
    ...(signal === undefined ? {} : { signal }),
    onProgress: ({ done, total }) => onMeasure?.({ what: `building ${label}`, done, total }),
  });
}

async function perplexityOf(
  directory: string,
  label: string,
  { perplexity: file, maxTokens = MAX_TOKENS }: ResolvedQuantizeOptions,
  { signal, onMeasure }: MeasureHooks,
): Promise<PerplexityReport | null> {
  if (file === undefined) return null;
  const { spec } = await readEngineManifest(directory);
  const window = windowOf(spec);
  const stop = signal === undefined ? {} : { signal };
  await using engine = await Engine.load(directory, { contextTokens: window, ...stop });
  return await evaluatePerplexity(engine, {
    file,
    window,
    maxTokens,
    ...stop,
    onProgress: ({ done, total }) => onMeasure?.({ what: `perplexity of ${label}`, done, total }),
  });
}

async function speedOf(
  [source, quantized]: readonly [string, string],
  { signal, onMeasure }: MeasureHooks,
): Promise<BenchCell[]> {
  const { spec } = await readEngineManifest(source);
  const half = Math.floor(spec.maxPositions / 2);
  return bench(source, {
    ...SPEED,
    isl: SPEED.isl.map((isl) => Math.min(isl, half)),
    osl: SPEED.osl.map((osl) => Math.min(osl, half)),
    compare: [quantized],
    ...(signal === undefined ? {} : { signal }),
    onProgress: ({ done, total }) => onMeasure?.({ what: "speed", done, total }),
  });
}

/** For codes of fewer than 8 bits, where the file format lets weights differ. */
function gentlerThan({ scheme }: ResolvedQuantizeOptions): string | null {
  const row = schemes.get(scheme);
  const few = row !== undefined && /4$/.test(row.format);
  return few && row.stored?.method === "compressed-tensors" ? "w8a16" : null;
}

function commandsOf(
  { model, out, perplexity, maxTokens = MAX_TOKENS }: ResolvedQuantizeOptions & { out: string },
  dtype: WeightDtype,
  floats: boolean,
): string[] {
  const quote = (text: string): string => (/^[\w./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);
  const evaluate = (engine: string): string[] =>
    perplexity === undefined
      ? []
      : [`espalier evaluate ${engine} --perplexity ${quote(perplexity)} --max-tokens ${maxTokens}`];
  return [
    `espalier build ${quote(model)} --weights ${dtype} --out source-engine`,
    `espalier build ${quote(out)}${floats ? ` --weights ${dtype}` : ""} --out quantized-engine`,
    ...evaluate("source-engine"),
    ...evaluate("quantized-engine"),
    "espalier bench source-engine --compare quantized-engine --isl 128 --osl 32",
  ];
}
