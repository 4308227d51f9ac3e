import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { compareExact } from "../../compare.js";

interface Fixture {
  types: Record<string, { sha256: string; samples: [number, number][]; values: string }>;
}

const fixture = JSON.parse(readFileSync(join(__dirname, "../../fixtures/quant/fp8.json"), "utf8")) as Fixture;
const types = [
  { type: "e4m3", mantissaBits: 3, bias: 7, largest: 0x7e },
  { type: "e5m2", mantissaBits: 2, bias: 15, largest: 0x7b },
] as const;

function encode(type: string, values: Float32Array): Uint8Array {
  const out = new Uint8Array(values.length);
  binding.testing["f32_to_fp8"]!({ type, values, out });
  return out;
}

function decode(type: string, codes: Uint8Array): Float32Array {
  const out = new Float32Array(codes.length);
  binding.testing["fp8_to_f32"]!({ type, codes, out });
  return out;
}

/** The values of the codes 0 to `largest` by their definition, in float64. */
function magnitudes({ mantissaBits, bias, largest }: (typeof types)[number]): number[] {
  return Array.from({ length: largest + 1 }, (_, code) => {
    const exponent = code >> mantissaBits;
    const fraction = (code % 2 ** mantissaBits) / 2 ** mantissaBits;
    return exponent === 0 ? fraction * 2 ** (1 - bias) : (1 + fraction) * 2 ** (exponent - bias);
  });
}

/** The nearest code by distance in float64, ties to the even one. */
function nearest(table: number[], value: number): number {
  if (Number.isNaN(value)) return 0x7f;
  const sign = value < 0 || Object.is(value, -0) ? 0x80 : 0;
  const magnitude = Math.abs(value);
  let low = 0;
  let high = table.length - 1;
  if (magnitude >= table[high]!) return sign | high;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (table[middle]! <= magnitude) low = middle;
    else high = middle;
  }
  const below = magnitude - table[low]!;
  const above = table[high]! - magnitude;
  return sign | (above < below || (above === below && high % 2 === 0) ? high : low);
}

/** f32 values by bit pattern: `count` of them, `stride` patterns apart. */
function patterns(count: number, stride: number, begin = 0): Float32Array {
  return new Float32Array(Uint32Array.from({ length: count }, (_, i) => begin + i * stride).buffer);
}

const everyBf16 = patterns(65536, 65536);

describe.each(types)("fp8 $type", (row) => {
  const table = magnitudes(row);
  const expected = fixture.types[row.type]!;

  it("rounds every bf16 as CUDA's header does", () => {
    const codes = encode(row.type, everyBf16);
    expect(createHash("sha256").update(codes).digest("hex")).toBe(expected.sha256);
    codes[1234]! ^= 1;
    expect(createHash("sha256").update(codes).digest("hex")).not.toBe(expected.sha256);
  });

  it("rounds every bf16 to the nearest code by distance, ties to even", () => {
    const wanted = Uint8Array.from(everyBf16, (value) => nearest(table, value));
    compareExact(encode(row.type, everyBf16), wanted, row.type);
    wanted[0x3f80]! ^= 1;
    expect(() => compareExact(encode(row.type, everyBf16), wanted, row.type)).toThrow("16256");
  });

  it("rounds f32 values between, next to and at the ties", () => {
    const sweep = patterns(300_007, 14_303);
    compareExact(
      encode(row.type, sweep),
      Uint8Array.from(sweep, (value) => nearest(table, value)),
      "sweep",
    );
    const ties = table.slice(1).map((value, i) => (value + table[i]!) / 2);
    const bits = new Uint32Array(Float32Array.from(ties).buffer);
    const around = new Float32Array(Uint32Array.from([...bits].flatMap((b) => [b - 1, b, b + 1])).buffer);
    for (const values of [around, around.map((value) => -value)])
      compareExact(
        encode(row.type, values),
        Uint8Array.from(values, (value) => nearest(table, value)),
        "ties",
      );
  });

  it("reads all 256 codes back as torch does, and its own codes unchanged", () => {
    const codes = Uint8Array.from({ length: 256 }, (_, i) => i);
    const values = decode(row.type, codes);
    const wanted = Uint32Array.from({ length: 256 }, (_, i) => parseInt(expected.values.slice(8 * i, 8 * i + 8), 16));
    compareExact(values, new Float32Array(wanted.buffer), row.type);
    const finite = codes.filter((code) => (code & 0x7f) <= row.largest);
    compareExact(encode(row.type, decode(row.type, finite)), finite, row.type);
  });

  it("saturates, and turns NaN of either sign into 0x7f", () => {
    for (const [value, code] of expected.samples)
      expect([value, encode(row.type, Float32Array.of(value))[0]]).toEqual([value, code]);
    const special = new Float32Array(Uint32Array.of(0x7f800000, 0xff800000, 0x7fc00000, 0xffc00000, 0x7f800001).buffer);
    compareExact(encode(row.type, special), [row.largest, 0x80 | row.largest, 0x7f, 0x7f, 0x7f], row.type);
  });

  it("takes empty spans and refuses lengths that differ", () => {
    expect(encode(row.type, new Float32Array(0)).length).toBe(0);
    const shapes = { type: row.type, values: new Float32Array(3), out: new Uint8Array(2) };
    expect(() => binding.testing["f32_to_fp8"]!(shapes)).toThrow(expect.objectContaining({ code: "ERR_SHAPE" }));
    const back = { type: row.type, codes: new Uint8Array(3), out: new Float32Array(4) };
    expect(() => binding.testing["fp8_to_f32"]!(back)).toThrow(expect.objectContaining({ code: "ERR_SHAPE" }));
  });
});
