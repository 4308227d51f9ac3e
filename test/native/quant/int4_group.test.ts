import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { compareExact } from "../../compare.js";
import { randomArray } from "../kernels/matmul-cases.js";

interface Case {
  groupSize: number;
  symmetric: boolean;
  scales: string;
  zeroPoints: string;
  packed: string;
  packedZeroPoints: string;
  dequantized: string;
}

const path = join(__dirname, "../../fixtures/quant/int4_group.json");
const { rows, cols, weight, cases } = JSON.parse(readFileSync(path, "utf8")) as {
  rows: number;
  cols: number;
  weight: string;
  cases: Case[];
};

const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "base64"));
const floatsOf = (text: string) => new Float32Array(bytesOf(text).buffer);
const wordsOf = (text: string) => new Uint32Array(bytesOf(text).buffer);

interface Shape {
  rows: number;
  cols: number;
  groupSize: number;
}

function ranges(shape: Shape, w: Float32Array, symmetric: boolean) {
  const groups = shape.rows * Math.floor(shape.cols / Math.max(shape.groupSize, 1));
  const scales = new Float32Array(groups);
  const zeroPoints = symmetric ? undefined : new Int8Array(groups);
  binding.testing["int4_group_ranges"]!({ ...shape, w, scales, zeroPoints });
  return { scales, zeroPoints };
}

function quantize(shape: Shape, w: Float32Array, scales: Float32Array, zeroPoints?: Int8Array): Int8Array {
  const q = new Int8Array(shape.rows * shape.cols);
  binding.testing["int4_group_quantize"]!({ ...shape, w, scales, zeroPoints, q });
  return q;
}

function dequantize(shape: Shape, q: Int8Array, scales: Float32Array, zeroPoints?: Int8Array): Float32Array {
  const out = new Float32Array(shape.rows * shape.cols);
  binding.testing["int4_group_dequantize"]!({ ...shape, q, scales, zeroPoints, out });
  return out;
}

function pack(q: Int8Array, packRows: number, packCols: number, columns = false): Uint32Array {
  const count = columns ? Math.ceil(packRows / 8) * packCols : packRows * Math.ceil(packCols / 8);
  const words = new Uint32Array(count).fill(0xdeadbeef);
  binding.testing["int4_pack"]!({ rows: packRows, cols: packCols, q, words, columns });
  return words;
}

function unpack(words: Uint32Array, packRows: number, packCols: number, columns = false): Int8Array {
  const q = new Int8Array(packRows * packCols);
  binding.testing["int4_unpack"]!({ rows: packRows, cols: packCols, q, words, columns });
  return q;
}

describe.each(cases)("int4 in groups of $groupSize, symmetric $symmetric", (row) => {
  const shape = { rows, cols, groupSize: row.groupSize };
  const w = floatsOf(weight);
  const found = ranges(shape, w, row.symmetric);
  const q = quantize(shape, w, found.scales, found.zeroPoints);
  const zeroPoints = new Int8Array(bytesOf(row.zeroPoints).buffer);

  it("has the scales, zero points and words of compressed-tensors", () => {
    compareExact(found.scales, floatsOf(row.scales), "scales");
    if (found.zeroPoints) {
      compareExact(found.zeroPoints, zeroPoints, "zero points");
      compareExact(pack(found.zeroPoints, rows, cols / row.groupSize, true), wordsOf(row.packedZeroPoints), "packed");
    }
    const words = pack(q, rows, cols);
    compareExact(words, wordsOf(row.packed), "weight_packed");
    words[7]! ^= 1 << 9;
    expect(() => compareExact(words, wordsOf(row.packed), "weight_packed")).toThrow("at 7");
  });

  it("reads what compressed-tensors wrote to the bit", () => {
    const read = unpack(wordsOf(row.packed), rows, cols);
    const zeros = row.symmetric ? undefined : unpack(wordsOf(row.packedZeroPoints), rows, cols / row.groupSize, true);
    const back = dequantize(shape, read, floatsOf(row.scales), zeros);
    expect(createHash("sha256").update(new Uint8Array(back.buffer)).digest("hex")).toBe(row.dequantized);
  });

  it("errs by no more than half a step, and a step where the symmetric range is cut", () => {
    const back = dequantize(shape, q, found.scales, found.zeroPoints);
    back.forEach((value, i) => {
      const scale = found.scales[Math.floor(i / row.groupSize)]!;
      expect(Math.abs(value - w[i]!)).toBeLessThanOrEqual(scale * (row.symmetric ? 0.5001 : 1.0001));
    });
  });
});

describe("int4 packing", () => {
  it("equals the worked examples", () => {
    const all = Int8Array.from({ length: 16 }, (_, i) => i - 8);
    compareExact(pack(all, 1, 16), [0x76543210, 0xfedcba98], "sixteen");
    compareExact(pack(Int8Array.of(-8, 7, 0), 1, 3), [0x8f0], "three");
    compareExact(pack(Int8Array.of(-8, -7, 0, 1, 2, 3, 6, 7, 5), 9, 1, true), [0xfeba9810, 0xd], "column");
  });

  it.each([
    [1, 1],
    [3, 7],
    [9, 17],
    [16, 8],
    [0, 5],
    [5, 0],
    [13, 576],
  ])("gives [%d, %d] back along either dimension", (n, k) => {
    const q = Int8Array.from(randomArray(n * k, 5), (value) => (Math.floor(Math.abs(value) * 1000) % 16) - 8);
    for (const columns of [false, true]) compareExact(unpack(pack(q, n, k, columns), n, k, columns), q, "codes");
  });

  it("refuses lengths that do not fit", () => {
    const options = { rows: 2, cols: 9, q: new Int8Array(18), words: new Uint32Array(2) };
    for (const name of ["int4_pack", "int4_unpack"])
      expect(() => binding.testing[name]!(options)).toThrow(expect.objectContaining({ code: "ERR_SHAPE" }));
  });
});

describe("int4 ranges", () => {
  const shape = { rows: 1, cols: 4, groupSize: 4 };

  it("equal the worked example", () => {
    const w = Float32Array.of(0.5, -1, 0.25, 2);
    const { scales } = ranges(shape, w, true);
    compareExact(scales, [Math.fround(0.2666666805744171)], "scale");
    compareExact(quantize(shape, w, scales), [2, -4, 1, 7], "q");
  });

  it("keep zeros, tiny and huge groups finite", () => {
    for (const symmetric of [true, false])
      for (const w of [new Float32Array(4), Float32Array.of(1e-45, 0, 0, -1e-45), Float32Array.of(3e38, -3e38, 0, 1)]) {
        const { scales, zeroPoints } = ranges(shape, w, symmetric);
        const back = dequantize(shape, quantize(shape, w, scales, zeroPoints), scales, zeroPoints);
        expect([...scales, ...back].every(Number.isFinite)).toBe(true);
        expect(back[2]! + 0).toBe(0);
      }
  });

  it("refuse NaN, infinity, nearly infinite values, group sizes that do not divide, and unusable scales", () => {
    for (const bad of [NaN, Infinity, -Infinity, 3.1e38]) {
      const w = new Float32Array(8);
      w[6] = bad;
      const message = expect.stringContaining("[1, 2]") as string;
      expect(() => ranges({ ...shape, rows: 2 }, w, true)).toThrow(
        expect.objectContaining({ code: "ERR_WEIGHT_VALUE", message }),
      );
    }
    for (const [size, columns] of [
      [128, 576],
      [48, 96],
      [0, 64],
      [-32, 64],
    ] as const)
      expect(() => ranges({ rows: 1, cols: columns, groupSize: size }, new Float32Array(columns), true)).toThrow(
        expect.objectContaining({ code: "ERR_QUANT_GROUP_SIZE" }),
      );
    for (const scale of [0, -1, NaN, Infinity])
      expect(() => quantize(shape, new Float32Array(4), Float32Array.of(scale))).toThrow(
        expect.objectContaining({ code: "ERR_QUANT_SCALE" }),
      );
    expect(() => quantize(shape, new Float32Array(4), Float32Array.of(1), Int8Array.of(8))).toThrow(
      expect.objectContaining({ code: "ERR_QUANT_SCALE" }),
    );
    expect(() => quantize(shape, new Float32Array(5), Float32Array.of(1))).toThrow(
      expect.objectContaining({ code: "ERR_SHAPE" }),
    );
  });
});
