import { measureCell, plannedWaves } from "../../../src/bench/cell.js";
import { resolveBenchOptions } from "../../../src/bench/plan.js";
import { cellsOf } from "../../../src/bench/summary.js";
import { fakeEngine, fakeWorld, type FakeEngine } from "./fake-engine.js";

const cell = { isl: 16, osl: 5, batch: 2 };
const machine = { cpu: "test", isa: "avx2", threads: 2 } as const;

describe("measureCell", () => {
  it("gives every figure of the issue", async () => {
    const options = resolveBenchOptions({ repeats: 3 });
    const engines: FakeEngine[] = [];
    const make = (): FakeEngine => {
      engines.push(fakeEngine(40, 10));
      return engines.at(-1) as FakeEngine;
    };
    const world = fakeWorld({ a: make }, 3);
    const result = await measureCell(["a"], cell, options, world);
    const [row, ...more] = cellsOf(cell, result, options, machine);
    expect(more).toHaveLength(0);
    expect(row).toMatchObject({ engine: "a", isl: 16, osl: 5, batch: 2, cpu: "test", isa: "avx2", threads: 2 });
    expect(row).toMatchObject({ ttftMs: 40, tpotMs: 10, itlP50Ms: 10, itlP90Ms: 10, itlP99Ms: 10, loadMs: 0 });
    expect(row?.prefillTokensPerSecond).toBeCloseTo(800);
    expect(row?.decodeTokensPerSecond).toBeCloseTo(200);
    expect(row?.requestsPerSecond).toBeCloseTo(25);
    const stepBytes = 1_100_000 + 2 * (16 + 2.5) * 256;
    expect(row?.decodeGBps).toBeCloseTo(stepBytes / 10e6);
    const flops = 2 * (2 * 1e6 * 16 + 2 * 1e5 + 4 * 2 * 4 * 8 * 136);
    expect(row?.prefillGflops).toBeCloseTo(flops / 40e6);
    expect(row).toMatchObject({ ceilingGBps: 20, ceilingGflops: 400, ceilingKind: "int8", weights: "int8-w8a8" });
    expect(row).toMatchObject({ repeats: 3, disturbed: false, foreignCpuShare: 0, attempts: 1, overlap: "full" });
    expect(row?.spread.ttftMs).toEqual({ median: 40, min: 40, max: 40 });
    expect(row?.peakRssMB).toBeGreaterThan(1);
    expect(world.loads).toEqual([{ contextTokens: 21, kvTokens: 128, maxSequences: 2 }]);
    expect(engines.map((engine) => engine.disposed)).toEqual([1]);
    // One warm-up and three repeats of two requests.
    expect(engines[0]?.prompts).toHaveLength(8);
    expect(world.log).toHaveLength(plannedWaves(1, 1, options));
  });

  it("runs a disturbed cell again, keeps the quietest attempt, and marks what stays disturbed", async () => {
    const options = resolveBenchOptions({ repeats: 2, warmup: 0 });
    const once = fakeWorld({ a: () => fakeEngine(1, 1) }, 2, [0.2, 0.01]);
    expect(await measureCell(["a"], cell, options, once)).toMatchObject({ attempts: 2 });
    expect(once.reruns).toBe(2);
    const always = fakeWorld({ a: () => fakeEngine(1, 1) }, 2, [0.5, 0.2, 0.4]);
    const result = await measureCell(["a"], cell, options, always);
    expect(result.attempts).toBe(3);
    expect(result.foreignCpuShare).toBeCloseTo(0.2);
    expect(cellsOf(cell, result, options, machine)[0]?.disturbed).toBe(true);
  });

  it("takes the highest ceiling of before and after", async () => {
    const options = resolveBenchOptions({ repeats: 1, warmup: 0 });
    const world = fakeWorld({ a: () => fakeEngine(1, 1) }, 1);
    const measured = [
      { readGBps: 5, int8Gops: 900 },
      { readGBps: 9, int8Gops: 100 },
    ];
    const measureCeilings = async (): ReturnType<typeof world.measureCeilings> => ({
      ...(await world.measureCeilings()),
      ...measured.shift(),
    });
    const [row] = cellsOf(
      cell,
      await measureCell(["a"], cell, options, { ...world, measureCeilings }),
      options,
      machine,
    );
    expect(row).toMatchObject({ ceilingGBps: 9, ceilingGflops: 900 });
    expect(measured).toHaveLength(0);
  });

  it("says null where the load cannot be known", async () => {
    const options = resolveBenchOptions({ repeats: 1, warmup: 0 });
    const world = { ...fakeWorld({ a: () => fakeEngine(1, 1) }, 1), readTicks: () => null };
    const [row] = cellsOf(cell, await measureCell(["a"], cell, options, world), options, machine);
    expect(row).toMatchObject({ foreignCpuShare: null, disturbed: null, attempts: 1 });
  });

  it("runs two engines turn by turn and gives the ratios of pairs", async () => {
    const options = resolveBenchOptions({ repeats: 4 });
    const world = fakeWorld({ a: () => fakeEngine(40, 10), b: () => fakeEngine(20, 5) }, 8);
    const rows = cellsOf(cell, await measureCell(["a", "b"], cell, options, world), options, machine);
    // Alone and warm, then together and warm, then in pairs whose order alternates.
    expect(world.log.join("")).toBe("ab" + "ab" + "abbaabba");
    expect(world.log).toHaveLength(plannedWaves(1, 2, options));
    expect(rows.map((row) => row.engine)).toEqual(["a", "b"]);
    expect(rows[0]?.comparison).toBeUndefined();
    expect(rows[1]?.comparison?.baseline).toBe("a");
    expect(rows[1]?.comparison?.ratios.decodeTokensPerSecond).toEqual({ median: 2, min: 2, max: 2 });
    expect(rows[1]?.comparison?.ratios.ttftMs?.median).toBe(0.5);
  });

  it("disposes the engines when a wave fails", async () => {
    const engine = fakeEngine(1, 1, (event) =>
      event.kind === "token" && event.atMs > 3 ? { kind: "error", error: new Error("bad") } : event,
    );
    const options = resolveBenchOptions({});
    await expect(measureCell(["a"], cell, options, fakeWorld({ a: () => engine }, 5))).rejects.toThrow("bad");
    expect(engine.disposed).toBe(1);
  });
});
