/**
 * What a bench is asked and what it answers. The cell is the row of the JSON that `espalier bench --json` prints.
 */
import type { IsaName, KvDtype } from "../binding.js";
import type { Spread } from "./statistics.js";

export interface BenchOptions {
  /** Input sequence lengths: prompt tokens of every request. Default [128, 512]. */
  isl?: number[];
  /** Output sequence lengths: tokens generated for every request, end-of-sequence ignored. Default [32, 128]. */
  osl?: number[];
  /** Requests handed in together; "auto" is the largest that fits (`largestBatch`). Default [1]. */
  batch?: (number | "auto")[];
  /** Measured waves of every cell. Default 5. */
  repeats?: number;
  /** Waves before the measured ones. Default 1. */
  warmup?: number;
  threads?: number;
  isa?: IsaName | "auto";
  /** Default: what each engine directory says, or f32. */
  kvDtype?: KvDtype;
  /** Other engines, measured turn by turn with the first. */
  compare?: string | readonly string[];
  /** A disturbed cell is measured at most so often. Default 3. */
  maxAttempts?: number;
  /** Bound of "auto". Default 64. */
  maxBatch?: number;
  /** Seed of the random prompts. Default 1. */
  seed?: number;
  /** Seconds of each ceiling measurement (one before every cell, one after each attempt). Default 0.5. */
  ceilingSeconds?: number;
  /** Memory that the bandwidth ceiling is measured over; should be far more than the caches hold. Default 1024, at most a quarter of the free memory. */
  ceilingBufferMB?: number;
  signal?: AbortSignal;
  onProgress?: (progress: BenchProgress) => void;
}

export interface BenchProgress {
  /** Waves done and planned; reruns of disturbed cells raise `total`. */
  done: number;
  total: number;
  engine: string;
  isl: number;
  osl: number;
  batch: number;
}

/** Figures that `--compare` gives as ratios, another engine over the first, of paired repeats. */
export const comparedFigures = ["ttftMs", "tpotMs", "prefillTokensPerSecond", "decodeTokensPerSecond"] as const;

export type ComparedFigure = (typeof comparedFigures)[number];

export interface CellComparison {
  /** Directory of the engine that the ratios are over. */
  baseline: string;
  ratios: Record<ComparedFigure, Spread | null>;
}

/**
 * One engine at one ISL × OSL × batch. Figures are medians over the repeats; null where there is nothing to measure
 * (TPOT and decode figures at OSL 1).
 */
export interface BenchCell {
  engine: string;
  isl: number;
  osl: number;
  batch: number;
  /** Time to first token: from handing a request in to its first token. */
  ttftMs: number;
  /** Time per output token: (last token − first token) / (OSL − 1). */
  tpotMs: number | null;
  /** Inter-token latency over all gaps of all requests and repeats. */
  itlP50Ms: number | null;
  itlP90Ms: number | null;
  itlP99Ms: number | null;
  /** batch · ISL / time until every request has its first token. */
  prefillTokensPerSecond: number;
  /** Tokens generated in a second while all requests are decoding together. */
  decodeTokensPerSecond: number | null;
  /** batch / time until the last token of the last request. */
  requestsPerSecond: number;
  /** Weights and cache read for a decode step / its time. */
  decodeGBps: number | null;
  prefillGflops: number;
  /** Read bandwidth reached by a loop that only reads, in the same process: the best before and after the cell. */
  ceilingGBps: number;
  /** Arithmetic rate of a register-only loop of the kind the weights' kernels use. */
  ceilingGflops: number;
  /** Largest resident memory of the process; both engines' when compared is not in it. */
  peakRssMB: number;
  loadMs: number;
  cpu: string;
  isa: string;
  threads: number;

  /** Weight formats of the linear layers, the one with most bytes first: "int8-w8a8", "int8-w8a8+f16". */
  weights: string;
  kvDtype: KvDtype;
  repeats: number;
  /** Spread of the medians above over the repeats. */
  spread: {
    ttftMs: Spread;
    tpotMs: Spread | null;
    prefillTokensPerSecond: Spread;
    decodeTokensPerSecond: Spread | null;
  };
  /** "full": the decode figures are of steps with all requests; "partial": the requests never all decoded together. */
  overlap: "full" | "partial" | null;
  /** Which ceiling `ceilingGflops` is. */
  ceilingKind: "f32" | "bf16" | "int8";
  /** Resident memory of the process before the engine was loaded. */
  baseRssMB: number;
  /** Share of the machine's CPU time used by others while the cell ran; null where it cannot be known. */
  foreignCpuShare: number | null;
  /** More than 5 % foreign CPU in every attempt; null where it cannot be known. */
  disturbed: boolean | null;
  attempts: number;
  comparison?: CellComparison;
}
