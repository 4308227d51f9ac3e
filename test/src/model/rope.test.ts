import { llama3Factors, ropeFromFactors } from "../../../src/model/rope.js";
import type { RopeSpec } from "../../../src/model/spec.js";
import { coded } from "../../model-files.js";

const llama3 = (change: Partial<RopeSpec> = {}): RopeSpec => ({
  type: "llama3",
  theta: 500000,
  factor: 8,
  lowFreqFactor: 1,
  highFreqFactor: 4,
  originalMaxPositions: 8192,
  rotaryDim: 128,
  interleaved: false,
  ...change,
});

it("factors go from 1 for fast frequencies to `factor` for slow ones", () => {
  const factors = llama3Factors(llama3());
  expect(factors[0]).toBe(1);
  expect(factors[63]).toBe(8);
  expect(factors.every((value, i) => i === 0 || value >= (factors[i - 1] ?? 0))).toBe(true);
  // transformers 5.23.0: LlamaRotaryEmbedding's inv_freq with these parameters, divided into the plain one
  const expected = { 28: 1, 29: 1.20748, 30: 1.55341, 32: 2.69453, 34: 5.25733, 35: 8 };
  for (const [i, value] of Object.entries(expected)) expect(factors[Number(i)]).toBeCloseTo(value, 4);
});

describe("ropeFromFactors", () => {
  it("finds Llama 3's own parameters", () => {
    for (const rope of [llama3(), llama3({ factor: 32, rotaryDim: 64 })])
      expect(ropeFromFactors(Float32Array.from(llama3Factors(rope)), 500000, "f")).toEqual(rope);
  });

  it("finds other parameters, as far as they matter", () => {
    const rope = llama3({ originalMaxPositions: 4096, highFreqFactor: 6, theta: 10000 });
    expect(ropeFromFactors(Float32Array.from(llama3Factors(rope)), 10000, "f")).toEqual(rope);
    const other = llama3({ originalMaxPositions: 4096, lowFreqFactor: 2, highFreqFactor: 8 });
    const wanted = llama3Factors(other);
    const found = llama3Factors(ropeFromFactors(Float32Array.from(wanted), 500000, "f"));
    found.forEach((value, i) => expect(Math.abs(value / (wanted[i] ?? 0) - 1)).toBeLessThan(2e-4));
  });

  it("sees plain and linear rotary", () => {
    expect(ropeFromFactors([1, 1, 1], 10000, "f")).toEqual({
      type: "default",
      theta: 10000,
      rotaryDim: 6,
      interleaved: false,
    });
    expect(ropeFromFactors([4, 4], 10000, "f")).toMatchObject({ type: "linear", factor: 4 });
  });

  it.each([[[1, 2, 1, 2]], [[1, 2, 3, 4, 5, 6]], [[NaN, 1]], [[0, 0]], [[-1, 1]]])("refuses %j", (factors) => {
    expect(() => ropeFromFactors(factors, 10000, "file")).toThrow(coded("ERR_MODEL_ROPE", "file", "rope_freqs"));
  });
});
