import { binding } from "../../../src/binding.js";
import { failureOf, isas, randomArray } from "./row-cases.js";

const pack = binding.testing["bf16_pack"]!;
const unpack = binding.testing["bf16_unpack"]!;

const counts = [0, 1, 7, 8, 15, 16, 17, 67, 577, 4096, 4097, 50001];

/** Every kind of float: ordinary, halfway cases of both parities, subnormal, the largest, infinite; NaN apart. */
function floats(count: number): Float32Array {
  const out = randomArray(count, 1);
  const bits = new Uint32Array(out.buffer);
  const special = [0x3f808000, 0x3f818000, 0x3f808001, 0x7f7fffff, 0x7f800000, 0xff800000, 1, 0x80000000, 0xff7f8000];
  special.slice(0, count).forEach((value, i) => (bits[count - 1 - i] = value));
  return out;
}

describe("bf16", () => {
  it.each(isas)("%s packs and unpacks to the same bits as the reference", (isa) => {
    for (const count of counts) {
      const x = floats(count);
      const [expected, found] = [new Uint16Array(count), new Uint16Array(count)];
      pack({ x, out: expected, count, reference: true });
      pack({ x, out: found, count, isa });
      expect(found).toEqual(expected);
      const [back, backFound] = [new Float32Array(count), new Float32Array(count)];
      unpack({ x: expected, out: back, count, reference: true });
      unpack({ x: expected, out: backFound, count, isa });
      expect(backFound).toEqual(back);
    }
  });

  it.each(isas)("%s keeps NaN", (isa) => {
    const x = new Float32Array(20);
    new Uint32Array(x.buffer).fill(0x7f800001, 0, 10).fill(0xffffffff, 10);
    const packed = new Uint16Array(20);
    pack({ x, out: packed, count: 20, isa });
    const back = new Float32Array(20);
    unpack({ x: packed, out: back, count: 20, isa });
    expect(back.every(Number.isNaN)).toBe(true);
  });

  it("refuses a missing array", () => {
    expect(failureOf(() => pack({ x: new Float32Array(1), count: 1 })).message).toBe(
      "bf16_pack: out: expected a pointer, found nullptr",
    );
  });
});
