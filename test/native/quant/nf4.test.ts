import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { compareElements, compareExact } from "../../compare.js";
import { randomArray } from "../kernels/matmul-cases.js";

interface Case {
  weight: string;
  type: string;
  blockSize: number;
  packed: string;
  absmax: string;
  dequantized: string;
  codes: string;
  nearestCodes: string;
  nested: string;
  offset: number;
  nestedDequantized: string;
}

const path = join(__dirname, "../../fixtures/quant/nf4.json");
const fixture = JSON.parse(readFileSync(path, "utf8")) as {
  tables: { nf4: string; fp4: string };
  weights: Record<string, string>;
  cases: Case[];
};

/** The codes of sin(0.37 * i) * (1 + row) in four rows of 64, as bitsandbytes packs them. */
const worked =
  "7befffed9521000137befffed9521000137befffed9521000137befffed9521000147befffec9521000147cefffec9521000" +
  "148cefffec9521000148cefffec9521000148cefffec9421000148cefffec8421000148cefffec8421000148cefffec84210" +
  "00148cefffec8421000248cefffec8420000248cefffec8420001248";

const bytesOf = (text: string) => Uint8Array.from(Buffer.from(text, "base64"));
const floatsOf = (text: string) => new Float32Array(bytesOf(text).buffer);
const sha256 = (values: Float32Array) => createHash("sha256").update(new Uint8Array(values.buffer)).digest("hex");

function quantize(type: string, values: Float32Array, blockSize = 64) {
  const packed = new Uint8Array(Math.ceil(values.length / 2));
  const absmax = new Float32Array(Math.ceil(values.length / blockSize));
  binding.testing["block4_quantize"]!({ type, values, blockSize, packed, absmax });
  return { packed, absmax };
}

function dequantize(
  type: string,
  packed: Uint8Array,
  absmax: Float32Array,
  count: number,
  blockSize = 64,
): Float32Array {
  const out = new Float32Array(count);
  binding.testing["block4_dequantize"]!({ type, packed, absmax, blockSize, out });
  return out;
}

function nest(absmax: Float32Array) {
  const codes = new Uint8Array(absmax.length);
  const nested = new Float32Array(Math.ceil(absmax.length / 256));
  const offset = binding.testing["nested_absmax_quantize"]!({ absmax, codes, nested }) as number;
  return { codes, nested, offset };
}

function unnest(codes: Uint8Array, nested: Float32Array, offset: number): Float32Array {
  const out = new Float32Array(codes.length);
  binding.testing["nested_absmax_dequantize"]!({ codes, nested, offset, out });
  return out;
}

function tables(type: string) {
  const values = new Float32Array(16);
  const map = new Float32Array(256);
  binding.testing["block4_tables"]!({ type, values, map });
  return { values, map };
}

const codeAt = (packed: Uint8Array, i: number) => (i % 2 === 0 ? packed[i >> 1]! >> 4 : packed[i >> 1]! & 15);

describe("the tables", () => {
  it("are bitsandbytes' to the bit", () => {
    expect(sha256(tables("nf4").map)).toBe("e732639a65f497b4ad684bb166a4467708255edd5207757de8b8f0c7e1fda89c");
    expect(sha256(tables("nf4").values)).toBe(sha256(floatsOf(fixture.tables.nf4)));
    expect(sha256(tables("fp4").values.map(Math.abs))).toBe(sha256(floatsOf(fixture.tables.fp4).map(Math.abs)));
  });
});

describe.each(fixture.cases)("$type of $weight in blocks of $blockSize", (row) => {
  const values = floatsOf(fixture.weights[row.weight]!);
  const found = quantize(row.type, values, row.blockSize);

  it("has bitsandbytes' absmax and codes", () => {
    compareExact(found.absmax, floatsOf(row.absmax), "absmax");
    // fp4 has two zeros: which one a tool writes is not a matter of value.
    const value = (packed: Uint8Array) =>
      Float32Array.from({ length: packed.length * 2 }, (_, i) => tables(row.type).values[codeAt(packed, i)]! + 0);
    compareExact(value(found.packed), value(bytesOf(row.packed)), "codes");
    if (row.type === "nf4") compareExact(found.packed, bytesOf(row.packed), "packed");
  });

  it("reads what bitsandbytes wrote, plain and double-quantized, to the bit", () => {
    const packed = bytesOf(row.packed);
    const plain = dequantize(row.type, packed, floatsOf(row.absmax), values.length, row.blockSize);
    expect(sha256(plain)).toBe(row.dequantized);
    const absmax = unnest(bytesOf(row.codes), floatsOf(row.nested), row.offset);
    const nested = dequantize(row.type, packed, absmax, values.length, row.blockSize);
    expect(sha256(nested)).toBe(row.nestedDequantized);
    packed[0]! ^= 0x10;
    expect(sha256(dequantize(row.type, packed, absmax, values.length, row.blockSize))).not.toBe(row.nestedDequantized);
  });

  it("has bitsandbytes' double-quantized absmax, the offset to 2 ulp", () => {
    const { codes, nested, offset } = nest(found.absmax);
    expect(Math.abs(offset - row.offset)).toBeLessThanOrEqual(2 ** -22 * Math.abs(offset));
    compareExact(codes, bytesOf(row.nearestCodes), "codes");
    compareElements(nested, floatsOf(row.nested), 2 ** -21 * Math.abs(offset), 0, "nested");
  });
});

describe.each(["nf4", "fp4"])("%s", (type) => {
  it("takes the nearest of the sixteen values", () => {
    const { values: table } = tables(type);
    const values = randomArray(4099, 3);
    const { packed, absmax } = quantize(type, values);
    values.forEach((value, i) => {
      const x = value / absmax[Math.floor(i / 64)]!;
      const distance = Math.abs(x - table[codeAt(packed, i)]!);
      expect(distance).toBeLessThanOrEqual(Math.min(...table.map((entry) => Math.abs(x - entry))) + 1e-6);
    });
  });

  it("keeps its own values, and blocks of zeros", () => {
    const { values: table } = tables(type);
    const values = Float32Array.from({ length: 128 }, (_, i) => (i < 64 ? table[i % 16]! * 3 : 0));
    const { packed, absmax } = quantize(type, values);
    compareExact(absmax, [3, 0], "absmax");
    compareElements(dequantize(type, packed, absmax, 128), values, 0, 0, type);
  });

  it("stores the code of 0 after an odd count, and takes none", () => {
    const zero = type === "nf4" ? 7 : 0;
    expect(codeAt(quantize(type, Float32Array.of(1, -1, 0.5)).packed, 3)).toBe(zero);
    expect(quantize(type, new Float32Array(0)).packed.length).toBe(0);
  });

  it("keeps blocks of the least and the largest floats finite", () => {
    for (const size of [2 ** -149, 2 ** -126, 3.4e38]) {
      const values = Float32Array.of(size, -size, 0, size);
      const { packed, absmax } = quantize(type, values);
      expect(absmax[0]).toBe(Math.fround(size));
      expect(dequantize(type, packed, absmax, 4).every(Number.isFinite)).toBe(true);
    }
  });

  it("refuses NaN, infinity, other block sizes and lengths", () => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const values = new Float32Array(100);
      values[77] = bad;
      const code = "ERR_WEIGHT_VALUE";
      const message = expect.stringContaining("weight[77]") as string;
      expect(() => quantize(type, values)).toThrow(expect.objectContaining({ code, message }));
    }
    for (const size of [0, -64, 16, 48, 8192])
      expect(() => binding.testing["block4_quantize"]!({ type, values: new Float32Array(8), blockSize: size })).toThrow(
        expect.objectContaining({ code: "ERR_QUANT_GROUP_SIZE" }),
      );
    expect(() => dequantize(type, new Uint8Array(3), new Float32Array(1), 4)).toThrow(
      expect.objectContaining({ code: "ERR_SHAPE" }),
    );
    expect(() => dequantize(type, new Uint8Array(40), new Float32Array(1), 80)).toThrow(
      expect.objectContaining({ code: "ERR_SHAPE" }),
    );
  });
});

describe("double quantization", () => {
  it("takes the nearest entry of the map", () => {
    const { map } = tables("nf4");
    const absmax = randomArray(1000, 4).map((value) => Math.abs(value));
    const { codes, nested, offset } = nest(absmax);
    absmax.forEach((value, i) => {
      const x = Math.fround(value - offset) / nested[i >> 8]!;
      const distance = Math.abs(x - map[codes[i]!]!);
      expect(distance).toBeLessThanOrEqual(Math.min(...map.map((entry) => Math.abs(x - entry))) + 1e-6);
    });
  });

  it("gives a single block, and equal ones, back exactly", () => {
    for (const absmax of [Float32Array.of(0.3), new Float32Array(300).fill(2), new Float32Array(3)]) {
      const { codes, nested, offset } = nest(absmax);
      compareExact(unnest(codes, nested, offset), absmax, "absmax");
    }
    expect(nest(new Float32Array(0)).offset).toBe(0);
    expect(() => nest(Float32Array.of(1, Infinity))).toThrow(expect.objectContaining({ code: "ERR_WEIGHT_VALUE" }));
  });

  it("equals the worked example", () => {
    const values = Float32Array.from({ length: 256 }, (_, i) => Math.sin(0.37 * i) * (1 + Math.floor(i / 64)));
    const { packed, absmax } = quantize("nf4", values);
    const { codes, nested, offset } = nest(absmax);
    compareExact(codes, [0, 47, 207, 255], "codes");
    expect(Math.abs(offset - 2.4988210201263428)).toBeLessThanOrEqual(2 * 2 ** -22);
    compareElements(nested, [1.5012947321], 5e-7, 0, "nested");
    compareElements(
      unnest(codes, nested, offset),
      [1.0080822706, 2.0003442764, 2.9972977638, 4.0001158714],
      1e-6,
      0,
      "",
    );
    expect(Buffer.from(packed).toString("hex")).toBe(worked);
  });
});
