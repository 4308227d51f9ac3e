import { median, pairedRatios, percentile, present, spreadOf } from "../../../src/bench/statistics.js";

describe("statistics", () => {
  it("interpolates percentiles between the closest ranks", () => {
    expect(percentile([4, 1, 3, 2], 0.5)).toBe(2.5);
    expect(percentile([10, 20, 30, 40, 50], 0.9)).toBeCloseTo(46);
    expect(percentile([7], 0.99)).toBe(7);
    expect(percentile([1, 2], 0)).toBe(1);
    expect(percentile([1, 2], 1)).toBe(2);
    expect(percentile([], 0.5)).toBeNull();
  });

  it("leaves the input as it was", () => {
    const values = [3, 1, 2];
    median(values);
    expect(values).toEqual([3, 1, 2]);
  });

  it("gives spread, ratios of pairs, and what is present", () => {
    expect(spreadOf([5, 1, 3])).toEqual({ median: 3, min: 1, max: 5 });
    expect(spreadOf([])).toBeNull();
    expect(pairedRatios([2, null, 4, 0, 5], [4, 1, 2, 3])).toEqual([2, 0.5]);
    expect(present([1, null, 0])).toEqual([1, 0]);
  });
});
