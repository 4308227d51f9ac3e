import { availableBytes, largestBatch, pagedTokens, PeakMemory, residentMB } from "../../../src/bench/memory.js";

const fit = {
  availableBytes: 1000e6,
  weightBytes: 100e6,
  kvBytesPerToken: 10_000,
  workspaceBytesPerSequence: 0,
  tokens: 1000,
  maxBatch: 1000,
};

describe("largestBatch", () => {
  it("fills 90 % of what is available, in whole pages", () => {
    expect(pagedTokens(1000)).toBe(1024);
    expect(largestBatch(fit)).toBe(Math.floor(800e6 / (1024 * 10_000)));
    expect(largestBatch({ ...fit, workspaceBytesPerSequence: 10_240_000 })).toBe(Math.floor(800e6 / 20_480_000));
  });

  it("stays between 1 and the bound", () => {
    expect(largestBatch({ ...fit, maxBatch: 8 })).toBe(8);
    expect(largestBatch({ ...fit, weightBytes: 5e9 })).toBe(1);
  });
});

describe("memory of this process", () => {
  it("is known", () => {
    expect(residentMB()).toBeGreaterThan(10);
    expect(availableBytes()).toBeGreaterThan(1e6);
  });

  it("keeps the highest", () => {
    const peak = new PeakMemory();
    peak.start();
    const before = residentMB();
    let block: Buffer | null = Buffer.alloc(64 << 20, 1);
    peak.sample();
    expect(peak.peakMB()).toBeGreaterThanOrEqual(before + 0.9 * (block.length / 1e6));
    block = null;
  });
});
