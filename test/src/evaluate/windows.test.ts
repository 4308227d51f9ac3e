import { cutWindows } from "../../../src/evaluate/windows.js";

function code(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    return (error as { code: string }).code;
  }
  return "none";
}

describe("cutWindows", () => {
  it("cuts whole windows and drops the tail", () => {
    expect(cutWindows(25, 10, 10)).toEqual([
      { begin: 0, end: 10, countFrom: 1 },
      { begin: 10, end: 20, countFrom: 1 },
    ]);
    expect(cutWindows(10, 10, 10)).toHaveLength(1);
  });

  it("counts every token once when windows overlap", () => {
    for (const [tokens, window, stride] of [
      [100, 10, 3],
      [64, 16, 8],
      [33, 8, 1],
      [50, 10, 9],
    ] as const) {
      const seen = new Map<number, number>();
      for (const { begin, end, countFrom } of cutWindows(tokens, window, stride))
        for (let token = begin + countFrom; token < end; ++token) seen.set(token, (seen.get(token) ?? 0) + 1);
      expect([...seen.values()].every((count) => count === 1)).toBe(true);
      const last = Math.max(...seen.keys());
      expect(seen.size).toBe(last); // 1 .. last without a gap
      expect(last).toBeGreaterThanOrEqual(tokens - stride);
    }
  });

  it("refuses what cannot be", () => {
    expect(code(() => cutWindows(9, 10, 10))).toBe("ERR_TEXT_TOO_SHORT");
    expect(code(() => cutWindows(100, 1, 1))).toBe("ERR_ARGUMENT");
    expect(code(() => cutWindows(100, 10, 11))).toBe("ERR_ARGUMENT");
    expect(code(() => cutWindows(100, 10, 0))).toBe("ERR_ARGUMENT");
    expect(code(() => cutWindows(100, 2.5, 1))).toBe("ERR_ARGUMENT");
  });
});
