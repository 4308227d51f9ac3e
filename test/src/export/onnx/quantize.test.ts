import { readFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../../src/binding.js";
import { quantizeRows, type QuantizedKind } from "../../../../src/export/onnx/quantize.js";
import { compareExact } from "../../../compare.js";
import { coded } from "../../../model-files.js";

interface Fixture {
  rows: number;
  cols: number;
  weight: string;
  cases: { groupSize: number; symmetric: boolean; scales: string; packed: string }[];
}

const path = join(__dirname, "../../../fixtures/quant/int4_group.json");
const fixture = JSON.parse(readFileSync(path, "utf8")) as Fixture;
const floatsOf = (text: string) => new Float32Array(Uint8Array.from(Buffer.from(text, "base64")).buffer);
const weight = floatsOf(fixture.weight);
const { rows, cols } = fixture;
const common = { values: weight, cols, scaleType: "f32", name: "w", rowBegin: 0 } as const;

it.each(fixture.cases.filter(({ symmetric }) => symmetric))(
  "int4 in groups of $groupSize: compressed-tensors' codes and scales",
  ({ groupSize, scales, packed }) => {
    const found = quantizeRows({ ...common, kind: "int4", groupSize });
    compareExact(found.scales, floatsOf(scales), "scales");
    const words = new Uint32Array((rows * cols) / 8);
    found.codes.forEach((code, i) => (words[i >> 3]! |= ((code + 8) & 15) << (4 * (i & 7))));
    compareExact(new Uint8Array(words.buffer), Uint8Array.from(Buffer.from(packed, "base64")), "packed");
  },
);

it("int8 by channel: every value within half a step, the largest at an end of the range", () => {
  const { codes, scales } = quantizeRows({ ...common, kind: "int8", groupSize: cols });
  for (let row = 0; row < rows; ++row) {
    const values = weight.subarray(row * cols, (row + 1) * cols);
    const absmax = values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    const scale = scales[row]!;
    expect(scale).toBe(absmax === 0 ? 2 ** -23 : Math.fround(absmax / 127.5));
    values.forEach((value, col) => {
      const back = ((codes[row * cols + col]! << 24) >> 24) * scale;
      // 127.5 steps have no code of their own above zero.
      expect(Math.abs(back - value)).toBeLessThanOrEqual(scale * 0.5001);
    });
  }
});

it("fp8 by channel: the native core's codes of value / scale", () => {
  const { codes, scales } = quantizeRows({ ...common, kind: "fp8", groupSize: cols });
  const scaled = weight.map((value, i) => value / scales[Math.floor(i / cols)]!);
  const expected = new Uint8Array(scaled.length);
  binding.testing["f32_to_fp8"]!({ type: "e4m3", values: scaled, out: expected });
  compareExact(codes, expected, "fp8");
});

it("rounds scales before it takes codes", () => {
  const { codes, scales } = quantizeRows({ ...common, kind: "int8", groupSize: cols, scaleType: "bf16" });
  for (const scale of scales) expect(new Uint32Array(Float32Array.of(scale).buffer)[0]! & 0xffff).toBe(0);
  const ratio = Math.fround(weight[0]! / scales[0]!);
  expect((codes[0]! << 24) >> 24).toBe(Math.round(ratio));
});

it.each<[QuantizedKind, number]>([
  ["int8", NaN],
  ["fp8", Infinity],
  ["int4", -Infinity],
  ["int4", 3.2e38],
])("%s refuses %d and says where it is", (kind, value) => {
  const values = new Float32Array(64).fill(1);
  values[37] = value;
  const args = { kind, values, cols: 32, groupSize: 32, scaleType: "f32", name: "w", rowBegin: 5 } as const;
  expect(() => quantizeRows(args)).toThrow(coded("ERR_WEIGHT_VALUE", '"w" [6, 5]', kind));
});

it("refuses for f16 scales what would overflow when it is multiplied back", () => {
  const args = { kind: "int8", values: Float32Array.of(65000), cols: 1, groupSize: 1, name: "w", rowBegin: 0 } as const;
  expect(() => quantizeRows({ ...args, scaleType: "f16" })).toThrow(coded("ERR_WEIGHT_VALUE", "f16"));
  expect(quantizeRows({ ...args, scaleType: "f32" }).codes).toEqual(Uint8Array.of(127));
});
