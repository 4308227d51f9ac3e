import { planCells, resolveBenchOptions } from "../../../src/bench/plan.js";
import type { BenchOptions } from "../../../src/bench/types.js";
import { manifest } from "./fake-engine.js";

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "none";
}

const engines = [{ directory: "a", manifest }];

describe("planCells", () => {
  it("is every ISL × OSL × batch", () => {
    const options = resolveBenchOptions({ isl: [8, 16], osl: [4], batch: [1, 2] });
    expect(planCells(options, engines, 1e9)).toEqual([
      { isl: 8, osl: 4, batch: 1 },
      { isl: 8, osl: 4, batch: 2 },
      { isl: 16, osl: 4, batch: 1 },
      { isl: 16, osl: 4, batch: 2 },
    ]);
  });

  it("finds the largest batch, once", () => {
    const options = resolveBenchOptions({ isl: [32], osl: [32], batch: [4, "auto"], maxBatch: 4 });
    expect(planCells(options, engines, 1e9)).toEqual([{ isl: 32, osl: 32, batch: 4 }]);
    const tight = resolveBenchOptions({ isl: [32], osl: [32], batch: ["auto"] });
    // 64 tokens of 256 bytes and two rows of logits a sequence, beside 8 MB of weights.
    const available = (8e6 + 10 * (64 * 256 + 800)) / 0.9;
    expect(planCells(tight, engines, available)[0]?.batch).toBe(10);
  });

  it("refuses what does not fit the context", () => {
    const options = resolveBenchOptions({ isl: [200], osl: [57] });
    expect(code(() => planCells(options, engines, 1e9))).toBe("ERR_CONTEXT_LENGTH");
  });
});

describe("resolveBenchOptions", () => {
  it("refuses wrong values by name", () => {
    const wrong: BenchOptions[] = [
      { isl: [] },
      { isl: [0] },
      { osl: [1.5] },
      { batch: [] },
      { batch: [0] },
      { repeats: 0 },
      { warmup: -1 },
      { maxAttempts: 0 },
      { maxBatch: 0 },
      { kvDtype: "i4" as "f32" },
      { seed: -1 },
      { ceilingSeconds: 0 },
      { ceilingBufferMB: 0 },
    ];
    for (const options of wrong) {
      const name = Object.keys(options)[0] as string;
      expect(() => resolveBenchOptions(options)).toThrow(name);
      expect(code(() => resolveBenchOptions(options))).toBe("ERR_ARGUMENT");
    }
  });
});
