/**
 * Waves of a cell -> its row: medians, spread, bandwidth and arithmetic rates, ratios.
 */
import type { Ceilings, IsaName } from "../binding.js";
import { kvDtypeOf } from "../engine/kv-cache.js";
import { isDisturbed, type CellResult, type LaneResult } from "./cell.js";
import type { PlannedCell, ResolvedOptions } from "./plan.js";
import { median, pairedRatios, present, spreadOf, type Spread } from "./statistics.js";
import { gapPercentiles, type WaveFigures } from "./timeline.js";
import { comparedFigures, type BenchCell, type CellComparison, type ComparedFigure } from "./types.js";
import { ceilingKindOf, decodeStepBytes, prefillFlops, weightFormatsOf, type CeilingKind } from "./work.js";

export interface Machine {
  cpu: string;
  isa: IsaName;
  threads: number;
}

/** One row for each engine of the cell. */
export function cellsOf(
  cell: PlannedCell,
  result: CellResult,
  options: ResolvedOptions,
  machine: Machine,
): BenchCell[] {
  const baseline = result.lanes[0] as LaneResult;
  return result.lanes.map((lane, index) => ({
    ...cellOf(cell, lane, result, options, machine),
    ...(index === 0 ? {} : { comparison: compareLanes(cell, baseline, lane) }),
  }));
}

function cellOf(
  cell: PlannedCell,
  lane: LaneResult,
  result: CellResult,
  options: ResolvedOptions,
  machine: Machine,
): BenchCell {
  const formats = weightFormatsOf(lane.engine.manifest.tensors);
  const ceilingKind = ceilingKindOf(formats[0], machine.isa);
  const { waves } = lane;
  return {
    engine: lane.directory,
    ...cell,
    ...latencies(cell, waves),
    ...rates(cell, lane, options),
    ceilingGBps: result.ceilings.readGBps,
    ceilingGflops: ceilingGflops(result.ceilings, ceilingKind),
    peakRssMB: lane.peakRssMB,
    loadMs: lane.loadMs,
    ...machine,
    weights: formats.join("+"),
    kvDtype: kvDtypeOf(lane.engine.manifest, options.kvDtype),
    repeats: waves.length,
    spread: {
      ttftMs: spreadOf(figures(cell, waves, "ttftMs")) as Spread,
      tpotMs: spreadOf(figures(cell, waves, "tpotMs")),
      prefillTokensPerSecond: spreadOf(figures(cell, waves, "prefillTokensPerSecond")) as Spread,
      decodeTokensPerSecond: spreadOf(figures(cell, waves, "decodeTokensPerSecond")),
    },
    overlap: waves.some((wave) => wave.overlap === "partial") ? "partial" : (waves[0]?.overlap ?? null),
    ceilingKind,
    baseRssMB: lane.baseRssMB,
    foreignCpuShare: result.foreignCpuShare,
    disturbed: isDisturbed(result.foreignCpuShare),
    attempts: result.attempts,
  };
}

function latencies(
  cell: PlannedCell,
  waves: readonly WaveFigures[],
): Pick<BenchCell, "ttftMs" | "tpotMs" | "itlP50Ms" | "itlP90Ms" | "itlP99Ms"> {
  const gaps = gapPercentiles(waves);
  return {
    ttftMs: median(figures(cell, waves, "ttftMs")) as number,
    tpotMs: median(figures(cell, waves, "tpotMs")),
    itlP50Ms: gaps.p50,
    itlP90Ms: gaps.p90,
    itlP99Ms: gaps.p99,
  };
}

function rates(
  cell: PlannedCell,
  lane: LaneResult,
  options: ResolvedOptions,
): Pick<
  BenchCell,
  "prefillTokensPerSecond" | "decodeTokensPerSecond" | "requestsPerSecond" | "decodeGBps" | "prefillGflops"
> {
  const { manifest } = lane.engine;
  const stepMs = median(present(lane.waves.map((wave) => wave.stepMs)));
  const kvDtype = kvDtypeOf(manifest, options.kvDtype);
  const stepBytes = decodeStepBytes(manifest.spec, manifest.tensors, { ...cell, kvDtype });
  const prefillMs = median(lane.waves.map((wave) => wave.prefillMs)) as number;
  return {
    prefillTokensPerSecond: median(figures(cell, lane.waves, "prefillTokensPerSecond")) as number,
    decodeTokensPerSecond: median(figures(cell, lane.waves, "decodeTokensPerSecond")),
    requestsPerSecond: median(lane.waves.map((wave) => (1000 * cell.batch) / wave.totalMs)) as number,
    decodeGBps: stepMs === null ? null : stepBytes / (stepMs * 1e6),
    prefillGflops: prefillFlops(manifest.spec, manifest.tensors, cell) / (prefillMs * 1e6),
  };
}

function ceilingGflops(ceilings: Ceilings, kind: CeilingKind): number {
  return { f32: ceilings.f32Gflops, bf16: ceilings.bf16Gflops, int8: ceilings.int8Gops }[kind];
}

const figureOf: Record<ComparedFigure, (cell: PlannedCell, wave: WaveFigures) => number | null> = {
  ttftMs: (_, wave) => wave.ttftMs,
  tpotMs: (_, wave) => wave.tpotMs,
  prefillTokensPerSecond: (cell, wave) => (1000 * cell.batch * cell.isl) / wave.prefillMs,
  decodeTokensPerSecond: (_, wave) => wave.decodeTokensPerSecond,
};

function figures(cell: PlannedCell, waves: readonly WaveFigures[], figure: ComparedFigure): number[] {
  return present(waves.map((wave) => figureOf[figure](cell, wave)));
}

/** Ratios lane / baseline of the waves that were run next to each other. */
function compareLanes(cell: PlannedCell, baseline: LaneResult, lane: LaneResult): CellComparison {
  const ratio = (figure: ComparedFigure): Spread | null => {
    const of = (waves: readonly WaveFigures[]): (number | null)[] => waves.map((wave) => figureOf[figure](cell, wave));
    return spreadOf(pairedRatios(of(baseline.waves), of(lane.waves)));
  };
  const ratios = Object.fromEntries(comparedFigures.map((figure) => [figure, ratio(figure)]));
  return { baseline: baseline.directory, ratios: ratios as CellComparison["ratios"] };
}
