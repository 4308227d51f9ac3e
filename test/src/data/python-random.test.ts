import { PythonRandom } from "../../../src/data/python-random.js";

describe("PythonRandom", () => {
  // python3 -c 'import random; r = random.Random(SEED); print([r.sample(range(N), K) for _ in range(3)])'
  it.each([
    {
      seed: 1234,
      size: 10,
      count: 3,
      drawn: [
        [7, 1, 0],
        [1, 0, 9],
        [1, 5, 3],
      ],
    },
    {
      seed: 1234,
      size: 100,
      count: 5,
      drawn: [
        [99, 56, 14, 0, 11],
        [74, 4, 85, 88, 10],
        [12, 98, 45, 30, 2],
      ],
    },
    {
      seed: 0,
      size: 1000,
      count: 6,
      drawn: [
        [864, 394, 776, 911, 430, 41],
        [265, 988, 523, 497, 414, 940],
        [802, 849, 310, 991, 488, 366],
      ],
    },
    {
      seed: 4294967295,
      size: 2,
      count: 2,
      drawn: [
        [0, 1],
        [1, 0],
        [1, 0],
      ],
    },
  ])("draws what Python draws: seed $seed, $count of $size", ({ seed, size, count, drawn }) => {
    const random = new PythonRandom(seed);
    expect(drawn.map(() => random.sample(size, count))).toEqual(drawn);
  });

  it("draws nothing of nothing, and refuses more than there are", () => {
    const random = new PythonRandom(1);
    expect(random.sample(0, 0)).toEqual([]);
    expect(random.sample(1, 1)).toEqual([0]);
    expect(() => random.sample(2, 3)).toThrow(expect.objectContaining({ code: "ERR_ARGUMENT" }) as Error);
    expect(() => new PythonRandom(-1)).toThrow(expect.objectContaining({ code: "ERR_ARGUMENT" }) as Error);
  });
});
