/**
 * bench: measures an engine at every ISL × OSL × batch, or several engines turn by turn.
 */
import { throwIfAborted } from "../abort.js";
import { binding } from "../binding.js";
import { Engine, readEngineManifest } from "../engine/index.js";
import { EspalierError } from "../errors.js";
import { measureCell, plannedWaves, type BenchWorld } from "./cell.js";
import { readCpuTicks } from "./load-monitor.js";
import { availableBytes } from "./memory.js";
import { planCells, resolveBenchOptions, type PlannedCell, type ResolvedOptions } from "./plan.js";
import { cellsOf, type Machine } from "./summary.js";
import type { BenchCell, BenchOptions } from "./types.js";
import { seededRandom } from "./wave.js";

/**
 * Measures an engine directory; the result is what `espalier bench --json` prints. With `compare`, every cell
 * appears once an engine, and the rows of the others carry the ratios.
 * @example
 * const cells = await bench("smollm2-int8", { isl: [128, 512], osl: [32], batch: [1, "auto"] });
 * console.log(cells[0]?.decodeTokensPerSecond);
 */
export async function bench(directory: string, options: BenchOptions = {}): Promise<BenchCell[]> {
  const resolved = resolveBenchOptions(options);
  const directories = [directory, ...(options.compare === undefined ? [] : [options.compare].flat())];
  const engines = await Promise.all(
    directories.map(async (path) => ({ directory: path, manifest: await readEngineManifest(path) })),
  );
  throwIfAborted(options.signal);
  const machine = machineOf(options);
  const cells = planCells(resolved, engines, availableBytes());
  const world = realWorld(options, resolved, machine, plannedWaves(cells.length, engines.length, resolved));
  const rows: BenchCell[] = [];
  for (const cell of cells) {
    throwIfAborted(options.signal);
    const result = await measureCell(directories, cell, resolved, world);
    rows.push(...cellsOf(cell, result, resolved, machine));
  }
  return rows;
}

function machineOf(options: BenchOptions): Machine {
  const cpu = binding.cpuInfo();
  const isa = options.isa === undefined || options.isa === "auto" ? cpu.isa : options.isa;
  if (!cpu.isas.includes(isa))
    throw new EspalierError("ERR_ISA", `isa: expected one of ${cpu.isas.join(", ")}, found "${isa}"`);
  if (options.threads === undefined && cpu.problem !== null)
    throw new EspalierError(cpu.problem.code, cpu.problem.message);
  const threads = options.threads ?? cpu.threads;
  if (!Number.isSafeInteger(threads) || threads < 1)
    throw new EspalierError("ERR_ARGUMENT", `threads: expected a whole number from 1, found ${threads}`);
  return { cpu: cpu.model, isa, threads };
}

function realWorld(options: BenchOptions, resolved: ResolvedOptions, machine: Machine, planned: number): BenchWorld {
  const { isa, threads } = machine;
  const { kvDtype, ceilingSeconds: seconds, ceilingBufferMB } = resolved;
  const bufferBytes = Math.floor(Math.min(ceilingBufferMB * 1e6, availableBytes() / 4));
  let done = 0;
  let total = planned;
  return {
    load: (directory, limits) =>
      Engine.load(directory, { ...limits, isa, threads, ...(kvDtype === undefined ? {} : { kvDtype }) }),
    measureCeilings: () => binding.measureCeilings({ isa, threads, seconds, bufferBytes }),
    now: () => performance.now(),
    readTicks: () => readCpuTicks(),
    random: seededRandom(resolved.seed),
    onWave: (engine: string, cell: PlannedCell) => options.onProgress?.({ done: (done += 1), total, engine, ...cell }),
    onRerun: (waves) => void (total += waves),
    signal: options.signal,
  };
}
