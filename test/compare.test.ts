import { compareBy, compareElements, compareExact, compareNmse, expectWithin, nmse } from "./compare.js";
import { tolerances } from "./tolerances.js";

/** A copy with element `index` replaced. */
function corrupted(values: Float32Array, index: number, value: number): Float32Array {
  const copy = values.slice();
  copy[index] = value;
  return copy;
}

const values = Float32Array.from({ length: 257 }, (_, i) => Math.sin(i + 0.5));

describe("comparers", () => {
  it("exact accepts equal values, NaN included, and rejects one wrong bit", () => {
    compareExact(Float32Array.of(1, NaN, -0), Float32Array.of(1, NaN, -0), "x");
    for (const index of [0, 100, 256]) {
      const bits = new Uint32Array(values.slice().buffer);
      bits[index]! ^= 1;
      expect(() => compareExact(new Float32Array(bits.buffer), values, "x")).toThrow(`at ${index} of 257`);
    }
    expect(() => compareExact([0], [-0], "x")).toThrow("exactly equal");
    expect(() => compareExact([1], [NaN], "x")).toThrow("expected NaN");
  });

  it("element accepts values within the bound and rejects those beyond it", () => {
    compareElements([1 + 0.9e-3, 0.9e-4], [1, 0], 1e-4, 1e-3, "x");
    expect(() => compareElements([1 + 1.2e-3], [1], 1e-4, 1e-3, "x")).toThrow("at 0 of 1");
    for (const bad of [NaN, Infinity, 5])
      expect(() => compareElements(corrupted(values, 256, bad), values, 1e-3, 1e-3, "x")).toThrow("at 256");
    expect(() => compareElements([Infinity], [-Infinity], 1, 1, "x")).toThrow();
    expect(() => compareElements([1], [Infinity], 1, 1, "x")).toThrow();
    compareElements([-Infinity, NaN], [-Infinity, NaN], 0, 0, "x");
  });

  it("nmse accepts small noise and rejects one corrupted value", () => {
    compareNmse(
      values.map((v) => v * (1 + 1e-6)),
      values,
      1e-11,
      "x",
    );
    for (const bad of [NaN, Infinity, values[9]! + 0.01])
      expect(() => compareNmse(corrupted(values, 9, bad), values, 1e-11, "x")).toThrow();
    expect(nmse([0, 0], [0, 0])).toBe(0);
    expect(() => compareNmse([1e-30], [0], 1e-3, "x")).toThrow("Infinity");
  });

  it("rejects another length, whatever the metric", () => {
    for (const tolerance of [
      { metric: "exact", reason: "" },
      { metric: "element", atol: 9, rtol: 9, reason: "" },
      { metric: "nmse", bound: 9, reason: "" },
    ] as const)
      expect(() => compareBy([1], [1, 2], tolerance, "x")).toThrow("expected 2 values, found 1");
  });

  it("every row of the table rejects a corrupted value", () => {
    for (const key of Object.keys(tolerances) as (keyof typeof tolerances)[]) {
      expectWithin(values, values, key);
      expect(() => expectWithin(corrupted(values, 3, values[3]! + 1), values, key)).toThrow(key);
    }
  });

  it("keeps the rows alphabetical", () => {
    expect(Object.keys(tolerances)).toEqual(Object.keys(tolerances).sort());
  });
});
