import { binding } from "../../../../src/binding.js";
import { e4m3Code, encodeFloats, halfCode, roundHalfEven, roundTo } from "../../../../src/export/onnx/small-float.js";
import { compareExact } from "../../../compare.js";

it("rounds to whole numbers, ties to even", () => {
  const cases = [0, 0.5, 1.5, 2.5, -0.5, -1.5, -2.5, 0.49999, 127.5, -128.5, 3.7];
  expect(cases.map((value) => roundHalfEven(value) + 0)).toEqual([0, 0, 2, 2, 0, -2, -2, 0, 128, -128, 4]);
});

it("gives e4m3 the codes of the native core, which are CUDA's, for every finite bf16", () => {
  const patterns = Uint32Array.from({ length: 1 << 16 }, (_, high) => high << 16);
  const values = new Float32Array(patterns.buffer).filter(Number.isFinite);
  const expected = new Uint8Array(values.length);
  binding.testing["f32_to_fp8"]!({ type: "e4m3", values, out: expected });
  compareExact(Uint8Array.from(values, e4m3Code), expected, "e4m3");
});

const halves = [
  { type: "f16", infinity: 0x7c00, largest: 65504 },
  { type: "bf16", infinity: 0x7f80, largest: 3.3895313892515355e38 },
] as const;

it.each(halves)("$type: every code's value has that code, and the middle of two the even one", ({ type, infinity }) => {
  const wrong: number[] = [];
  let before = 0;
  for (let code = 0; code < infinity; ++code) {
    const value = valueOf(type, code);
    const middle = halfCode(type, (before + value) / 2);
    const right =
      halfCode(type, value) === code &&
      halfCode(type, -value) === (0x8000 | code) &&
      roundTo(type, value) === value &&
      (code === 0 || middle === (code % 2 === 0 ? code : code - 1));
    if (!right) wrong.push(code);
    before = value;
  }
  expect(wrong).toEqual([]);
});

it.each(halves)("$type: what is too large becomes the largest", ({ type, infinity, largest }) => {
  for (const value of [largest, largest * 1.2, Infinity]) expect(halfCode(type, value)).toBe(infinity - 1);
  expect(roundTo(type, -1e39)).toBe(-largest);
});

it("writes little-endian bytes", () => {
  expect([...encodeFloats("f32", [1])]).toEqual([0, 0, 0x80, 0x3f]);
  expect([...encodeFloats("f16", [1, -2])]).toEqual([0, 0x3c, 0, 0xc0]);
  expect([...encodeFloats("bf16", [1, -2])]).toEqual([0x80, 0x3f, 0, 0xc0]);
});

/** By definition of the formats, in float64. */
function valueOf(type: "f16" | "bf16", code: number): number {
  if (type === "bf16") return new Float32Array(Uint32Array.of(code << 16).buffer)[0]!;
  const [exponent, fraction] = [code >> 10, (code & 0x3ff) / 1024];
  return exponent === 0 ? fraction * 2 ** -14 : (1 + fraction) * 2 ** (exponent - 15);
}
