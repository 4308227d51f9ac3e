import { binding } from "../../../src/binding.js";

/** Offsets and used bytes after taking blocks of these f32 counts; no capacity measures only. */
function take(counts: number[], capacity?: number): { offsets: number[]; used: number } {
  const offsets = new Float64Array(counts.length);
  const used = binding.testing["arena"]!({ counts: Int32Array.from(counts), offsets, capacity }) as number;
  return { offsets: [...offsets], used };
}

describe("arena", () => {
  it("measures without memory what it later carves", () => {
    expect(take([1, 16, 17, 0, 3])).toEqual({ offsets: [-1, -1, -1, -1, -1], used: 64 + 64 + 128 + 0 + 64 });
    expect(take([1, 16, 17, 0, 3], 320)).toEqual({ offsets: [0, 64, 128, 256, 256], used: 320 });
  });

  it("gives nullptr when it is full and says how much was wanted", () => {
    expect(take([16, 16, 1], 128)).toEqual({ offsets: [0, 64, -1], used: 192 });
    expect(take([33], 128)).toEqual({ offsets: [-1], used: 192 });
  });
});

describe("aligned buffer", () => {
  it("is aligned, and memory that is not there is ERR_OUT_OF_MEMORY", () => {
    for (const bytes of [0, 1, 63, 64, 65, 1 << 20]) expect(binding.testing["aligned_buffer"]!({ bytes })).toBe(true);
    for (const bytes of [2 ** 60, 2 ** 63])
      expect(() => binding.testing["aligned_buffer"]!({ bytes })).toThrow(
        expect.objectContaining({ code: "ERR_OUT_OF_MEMORY" }),
      );
  });
});
