import { existsSync } from "node:fs";
import { bench } from "../../../src/bench/index.js";
import { binding } from "../../../src/binding.js";
import { engineOf } from "../engine/fixtures.js";

const quick = {
  isl: [24],
  osl: [6],
  repeats: 2,
  warmup: 1,
  maxAttempts: 1,
  ceilingSeconds: 0.02,
  ceilingBufferMB: 4,
  threads: 1,
};

async function code(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "none",
    (error: { code: string }) => error.code,
  );
}

describe("bench of a real engine", () => {
  it("fills every figure of a cell", async () => {
    const directory = await engineOf("plain-v4", "int8-w8a8");
    const progress: number[] = [];
    const onProgress = ({ done, total }: { done: number; total: number }): void => void progress.push(done / total);
    const cells = await bench(directory, { ...quick, batch: [1, 3], onProgress });
    expect(cells.map((cell) => [cell.isl, cell.osl, cell.batch])).toEqual([
      [24, 6, 1],
      [24, 6, 3],
    ]);
    for (const cell of cells) {
      const { cpu, isa, engine, weights, ...rest } = cell;
      expect([cpu, isa, engine, weights]).toEqual([
        binding.cpuInfo().model,
        binding.cpuInfo().isa,
        directory,
        "int8-w8a8",
      ]);
      for (const key of [
        "ttftMs",
        "tpotMs",
        "itlP50Ms",
        "itlP90Ms",
        "itlP99Ms",
        "prefillTokensPerSecond",
        "decodeTokensPerSecond",
        "requestsPerSecond",
        "decodeGBps",
        "prefillGflops",
        "ceilingGBps",
        "ceilingGflops",
        "peakRssMB",
        "loadMs",
      ] as const)
        expect([key, (rest[key] ?? 0) > 0]).toEqual([key, true]);
      expect(rest).toMatchObject({ threads: 1, repeats: 2, attempts: 1 });
      expect(rest.decodeGBps as number).toBeLessThan(1000);
    }
    expect(progress.at(-1)).toBe(1);
    expect(progress).toHaveLength(6);
  });

  it("compares two engines", async () => {
    const [a, b] = await Promise.all([engineOf("plain-v4", "f32"), engineOf("plain-v4", "int8")]);
    const cells = await bench(a, { ...quick, compare: b });
    expect(cells.map((cell) => cell.weights)).toEqual(["f32", "int8"]);
    expect(cells[1]?.comparison?.ratios.decodeTokensPerSecond?.median).toBeGreaterThan(0);
  });

  it("refuses a wrong directory, ISA and context", async () => {
    expect(existsSync("/nowhere")).toBe(false);
    expect(await code(bench("/nowhere"))).toBe("ERR_ENGINE_NOT_FOUND");
    const directory = await engineOf("plain-v4");
    expect(await code(bench(directory, { ...quick, isl: [1 << 20] }))).toBe("ERR_CONTEXT_LENGTH");
    expect(await code(bench(directory, { ...quick, isa: "mmx" as "ref" }))).toBe("ERR_ISA");
    expect(await code(bench(directory, { ...quick, threads: 0 }))).toBe("ERR_ARGUMENT");
    expect(await code(bench(directory, { ...quick, signal: AbortSignal.abort() }))).toBe("ERR_ABORTED");
  });

  it("stops in the middle of a cell", async () => {
    const stop = new AbortController();
    const onProgress = (): void => stop.abort();
    expect(await code(bench(await engineOf("plain-v4"), { ...quick, onProgress, signal: stop.signal }))).toBe(
      "ERR_ABORTED",
    );
  });
});
