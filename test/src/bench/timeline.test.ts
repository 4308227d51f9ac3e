import { gapPercentiles, waveFigures, type RequestTimes } from "../../../src/bench/timeline.js";

/** Tokens at `first`, then every `gap`. */
function request(handedInMs: number, first: number, gap: number, osl: number): RequestTimes {
  return { handedInMs, tokenMs: Array.from({ length: osl }, (_, index) => first + index * gap) };
}

describe("waveFigures", () => {
  it("measures a single request", () => {
    const wave = waveFigures([request(0, 100, 20, 11)]);
    expect(wave).toMatchObject({ ttftMs: 100, tpotMs: 20, prefillMs: 100, totalMs: 300, stepMs: 20, overlap: "full" });
    expect(wave.decodeTokensPerSecond).toBe(50);
    expect(wave.gapsMs).toEqual(new Array(10).fill(20));
  });

  it("takes the median request, and the span in which all decode", () => {
    // Prompts one after the other; every step takes 10 ms once all decode.
    const wave = waveFigures([request(0, 50, 10, 21), request(0, 100, 10, 21), request(1, 150, 10, 21)]);
    expect(wave.ttftMs).toBe(100);
    expect(wave.prefillMs).toBe(150);
    expect(wave.totalMs).toBe(350);
    expect(wave.overlap).toBe("full");
    // (150, 250]: ten steps of three requests.
    expect(wave.decodeTokensPerSecond).toBeCloseTo(300);
    expect(wave.stepMs).toBeCloseTo(10);
  });

  it("says so when the requests never all decode together", () => {
    const wave = waveFigures([request(0, 10, 5, 5), request(0, 100, 5, 5)]);
    expect(wave.overlap).toBe("partial");
    // (10, 120]: eight tokens.
    expect(wave.decodeTokensPerSecond).toBeCloseTo(8000 / 110);
  });

  it("has no decode figures at OSL 1", () => {
    expect(waveFigures([request(0, 10, 0, 1), request(0, 12, 0, 1)])).toEqual({
      ttftMs: 11,
      tpotMs: null,
      gapsMs: [],
      prefillMs: 12,
      totalMs: 12,
      decodeTokensPerSecond: null,
      stepMs: null,
      overlap: null,
    });
  });

  it("pools the gaps of all waves", () => {
    const waves = [waveFigures([request(0, 10, 1, 51)]), waveFigures([request(0, 10, 3, 51)])];
    expect(gapPercentiles(waves)).toEqual({ p50: 2, p90: 3, p99: 3 });
    expect(gapPercentiles([])).toEqual({ p50: null, p90: null, p99: null });
  });
});
