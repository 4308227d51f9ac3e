/** Layout "pack-quantized", as it is written; what is read of it is in test/src/checkpoint/quantized/. */
import { compareExact } from "../../../compare.js";
import { cases, rows, weight } from "../int4-fixture.js";
import { quantizeArray } from "../quantize-array.js";

type Parts = Awaited<ReturnType<typeof quantizeArray>>;
const wordsOf = (parts: Parts, suffix: string) => new Uint32Array(parts.get(suffix)!.bytes.buffer);

it.each(cases)("int4 in groups of $groupSize, symmetric $symmetric: compressed-tensors' bytes", async (row) => {
  const { groupSize, symmetric } = row;
  const parts = await quantizeArray(weight, rows, {
    format: "int4",
    layout: "pack-quantized",
    group: groupSize,
    symmetric,
  });
  compareExact(new Float32Array(parts.get("weight_scale")!.bytes.buffer), row.scales, "weight_scale");
  expect(parts.has("weight_zero_point")).toBe(!symmetric);
  if (!symmetric) compareExact(wordsOf(parts, "weight_zero_point"), row.packedZeroPoints, "weight_zero_point");
  const words = wordsOf(parts, "weight_packed");
  compareExact(words, row.packed, "weight_packed");
  words[7]! ^= 1 << 9;
  expect(() => compareExact(words, row.packed, "weight_packed")).toThrow("at 7");
});

describe("words", () => {
  // Values from -8 to 7 in every row: the scale is 1, the zero point 0, codes are the values.
  const pack = (values: number[], count: number) =>
    quantizeArray(Float32Array.from(values), count, {
      format: "int4",
      layout: "pack-quantized",
      group: 0,
      symmetric: false,
    });

  it("equal the worked examples", async () => {
    const sixteen = await pack(
      Array.from({ length: 16 }, (_, i) => i - 8),
      1,
    );
    compareExact(wordsOf(sixteen, "weight_packed"), [0x76543210, 0xfedcba98], "sixteen");
    compareExact(wordsOf(sixteen, "weight_zero_point"), [8], "zero point");
    compareExact(wordsOf(await pack([-8, 7, 0], 1), "weight_packed"), [0x8f0], "three");
  });

  it("begin anew with every row, and along rows for zero points", async () => {
    // Row r holds 0 and r, but the last one -15: zero points -8 but for the last, which is 7.
    const values = Array.from({ length: 9 }, (_, row) => [0, row === 8 ? -15 : row + 1]).flat();
    const parts = await pack(values, 9);
    compareExact(wordsOf(parts, "weight_packed"), [...new Array<number>(8).fill(0xf0), 0x0f], "rows");
    compareExact(wordsOf(parts, "weight_zero_point"), [0, 0xf], "zero points");
    expect(parts.get("weight_zero_point")!.shape).toEqual([2, 1]);
    expect(parts.get("weight_packed")!.shape).toEqual([9, 1]);
  });
});
