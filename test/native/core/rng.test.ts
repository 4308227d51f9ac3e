import { binding } from "../../../src/binding.js";

const mask = (1n << 64n) - 1n;
const rotate = (value: bigint, bits: bigint) => ((value << bits) | (value >> (64n - bits))) & mask;

/** splitmix64 as its authors publish it. */
function* splitmix64(seed: bigint): Generator<bigint, never> {
  for (let state = seed; ;) {
    state = (state + 0x9e3779b97f4a7c15n) & mask;
    let z = state;
    z = ((z ^ (z >> 30n)) * 0xbf58476d1ce4e5b9n) & mask;
    z = ((z ^ (z >> 27n)) * 0x94d049bb133111ebn) & mask;
    yield z ^ (z >> 31n);
  }
}

/** xoshiro256** as its authors publish it. */
function* xoshiro256(s: bigint[]): Generator<bigint, never> {
  for (;;) {
    yield (rotate((s[1]! * 5n) & mask, 7n) * 9n) & mask;
    const shifted = (s[1]! << 17n) & mask;
    s[2]! ^= s[0]!;
    s[3]! ^= s[1]!;
    s[1]! ^= s[2]!;
    s[0]! ^= s[3]!;
    s[2]! ^= shifted;
    s[3] = rotate(s[3]!, 45n);
  }
}

function first(count: number, source: Generator<bigint, never>): bigint[] {
  return Array.from({ length: count }, () => source.next().value);
}

describe("rng", () => {
  it("the models of this test give the published sequences", () => {
    expect(first(5, splitmix64(1234567n))).toEqual([
      6457827717110365317n,
      3203168211198807973n,
      9817491932198370423n,
      4593380528125082431n,
      16408922859458223821n,
    ]);
    expect(first(10, xoshiro256([1n, 2n, 3n, 4n]))).toEqual([
      11520n,
      0n,
      1509978240n,
      1215971899390074240n,
      1216172134540287360n,
      607988272756665600n,
      16172922978634559625n,
      8476171486693032832n,
      10595114339597558777n,
      2904607092377533576n,
    ]);
  });

  it("is xoshiro256** seeded by splitmix64", () => {
    for (const seed of [0, 1, 42, 1234567, Number.MAX_SAFE_INTEGER]) {
      const [out, uniforms] = [new BigUint64Array(1000), new Float64Array(1000)];
      binding.testing["rng"]!({ seed, out, uniforms, count: 1000 });
      const model = xoshiro256(first(4, splitmix64(BigInt(seed))));
      expect([...out]).toEqual(first(1000, model));
      expect([...uniforms]).toEqual(first(1000, model).map((word) => Number(word >> 11n) / 2 ** 53));
    }
  });
});
