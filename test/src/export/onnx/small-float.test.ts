import { encodeFloats, halfCode } from "../../../../src/export/onnx/small-float.js";

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
      (code === 0 || middle === (code % 2 === 0 ? code : code - 1));
    if (!right) wrong.push(code);
    before = value;
  }
  expect(wrong).toEqual([]);
});

it.each(halves)("$type: what is too large becomes the largest", ({ type, infinity, largest }) => {
  for (const value of [largest, largest * 1.2, Infinity]) expect(halfCode(type, value)).toBe(infinity - 1);
  expect(halfCode(type, -1e39)).toBe(0x8000 | (infinity - 1));
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
