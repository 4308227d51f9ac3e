/**
 * Options -> the list of cells to measure, checked against the engines before anything is loaded.
 */
import { readEngineManifest } from "../engine/index.js";
import { isKvDtype, kvBytesPerToken, kvDtypeOf, kvDtypes, type KvDtype } from "../engine/kv-cache.js";
import { EspalierError } from "../errors.js";
import { availableBytes, largestBatch, pagedTokens } from "./memory.js";
import type { BenchOptions } from "./types.js";
import type { BenchManifest } from "./wave.js";

export interface PlannedCell {
  isl: number;
  osl: number;
  batch: number;
}

export interface ResolvedOptions {
  isl: number[];
  osl: number[];
  batch: (number | "auto")[];
  repeats: number;
  warmup: number;
  /** undefined: each engine's own. */
  kvDtype: KvDtype | undefined;
  maxAttempts: number;
  maxBatch: number;
  seed: number;
  ceilingSeconds: number;
  ceilingBufferMB: number;
}

export function resolveBenchOptions(options: BenchOptions): ResolvedOptions {
  return {
    isl: lengths("isl", options.isl ?? [128, 512]),
    osl: lengths("osl", options.osl ?? [32, 128]),
    batch: batches(options.batch ?? [1]),
    repeats: wholeNumber("repeats", options.repeats ?? 5, 1),
    warmup: wholeNumber("warmup", options.warmup ?? 1, 0),
    kvDtype: dtype(options.kvDtype),
    maxAttempts: wholeNumber("maxAttempts", options.maxAttempts ?? 3, 1),
    maxBatch: wholeNumber("maxBatch", options.maxBatch ?? 64, 1),
    seed: wholeNumber("seed", options.seed ?? 1, 0),
    ceilingSeconds: positive("ceilingSeconds", options.ceilingSeconds ?? 0.5),
    ceilingBufferMB: wholeNumber("ceilingBufferMB", options.ceilingBufferMB ?? 1024, 1),
  };
}

function dtype(value: KvDtype | undefined): KvDtype | undefined {
  if (value === undefined || isKvDtype(value)) return value;
  throw new EspalierError("ERR_ARGUMENT", `kvDtype: expected ${kvDtypes.join(", ")}, found ${String(value)}`);
}

function wholeNumber(name: string, value: number, least: number): number {
  if (Number.isSafeInteger(value) && value >= least) return value;
  throw new EspalierError("ERR_ARGUMENT", `${name}: expected a whole number from ${least}, found ${value}`);
}

function positive(name: string, value: number): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw new EspalierError("ERR_ARGUMENT", `${name}: expected a number over 0, found ${value}`);
}

function lengths(name: string, values: readonly number[]): number[] {
  if (values.length === 0) throw new EspalierError("ERR_ARGUMENT", `${name}: expected at least one length, found none`);
  return values.map((value) => wholeNumber(name, value, 1));
}

function batches(values: readonly (number | "auto")[]): (number | "auto")[] {
  if (values.length === 0) throw new EspalierError("ERR_ARGUMENT", "batch: expected at least one size, found none");
  return values.map((value) => (value === "auto" ? value : wholeNumber("batch", value, 1)));
}

/** Every ISL × OSL × batch, batch innermost; "auto" becomes a number for each ISL and OSL, and is not repeated. */
export function planCells(
  options: ResolvedOptions,
  engines: readonly { directory: string; manifest: BenchManifest }[],
  freeBytes: number,
): PlannedCell[] {
  const cells: PlannedCell[] = [];
  for (const isl of options.isl)
    for (const osl of options.osl) {
      checkContext(isl, osl, engines);
      const sizes = options.batch.map((batch) =>
        batch === "auto" ? autoBatch(isl + osl, options, engines, freeBytes) : batch,
      );
      for (const batch of new Set(sizes)) cells.push({ isl, osl, batch });
    }
  return cells;
}

function checkContext(
  isl: number,
  osl: number,
  engines: readonly { directory: string; manifest: BenchManifest }[],
): void {
  for (const { directory, manifest } of engines)
    if (isl + osl > manifest.spec.maxPositions)
      throw new EspalierError(
        "ERR_CONTEXT_LENGTH",
        `${directory}: isl + osl: expected at most ${manifest.spec.maxPositions} (the model's context), found ${isl} + ${osl}`,
      );
}

/** The largest batch of ISL + OSL `tokens` that one engine has room for in the memory that is free now. */
export async function largestBatchOf(directory: string, tokens: number, kvDtype?: KvDtype): Promise<number> {
  const engines = [{ manifest: await readEngineManifest(directory) }];
  return autoBatch(tokens, { kvDtype, maxBatch: Number.MAX_SAFE_INTEGER }, engines, availableBytes());
}

function autoBatch(
  tokens: number,
  options: Pick<ResolvedOptions, "kvDtype" | "maxBatch">,
  engines: readonly { manifest: BenchManifest }[],
  freeBytes: number,
): number {
  const sum = (of: (manifest: BenchManifest) => number): number =>
    engines.reduce((total, { manifest }) => total + of(manifest), 0);
  return largestBatch({
    availableBytes: freeBytes,
    weightBytes: sum((manifest) => manifest.weights.sizeBytes),
    kvBytesPerToken: sum((manifest) => kvBytesPerToken(manifest.spec, kvDtypeOf(manifest, options.kvDtype))),
    // A row of f32 logits, and its copy while a token is sampled.
    workspaceBytesPerSequence: sum((manifest) => 8 * manifest.spec.vocabSize),
    tokens,
    maxBatch: options.maxBatch,
  });
}

/** Load options of an engine that holds one cell and no more. */
export function engineLimits(cell: PlannedCell): { contextTokens: number; kvTokens: number; maxSequences: number } {
  const contextTokens = cell.isl + cell.osl;
  return { contextTokens, kvTokens: cell.batch * pagedTokens(contextTokens), maxSequences: cell.batch };
}
