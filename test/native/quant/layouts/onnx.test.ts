/** Layout "onnx": what DequantizeLinear makes of it, by ONNX's definition, is what quantize_matrix's codes stand for. */
import { binding } from "../../../../src/binding.js";
import { compareExact } from "../../../compare.js";
import { randomArray } from "../../kernels/matmul-cases.js";
import { quantizeArray } from "../quantize-array.js";

interface Format {
  id: string;
  values: Float32Array;
}
const formats = binding.testing["number_formats"]!({}) as Format[];
const e4m3 = formats.find(({ id }) => id === "fp8_e4m3")!.values;

type Parts = Awaited<ReturnType<typeof quantizeArray>>;

/** Element `i` of a part as a number; 4 bits: two in a byte, two's complement. */
function element(parts: Parts, suffix: string, format: string, i: number): number {
  const { bytes } = parts.get(suffix)!;
  if (format === "int4") return (((bytes[i >> 1]! >> (4 * (i & 1))) & 15) ^ 8) - 8;
  return format === "int8" ? (bytes[i]! << 24) >> 24 : e4m3[bytes[i]!]!;
}

/** [rows, cols] again. */
function dequantize(parts: Parts, format: string, rows: number, cols: number): Float32Array {
  const scales = new Float32Array(parts.get("scale")!.bytes.buffer);
  const span = (cols * rows) / scales.length;
  return Float32Array.from({ length: rows * cols }, (_, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols];
    const at = Math.floor(col / span) * rows + row;
    const zero = parts.has("zero_point") ? element(parts, "zero_point", format, at) : 0;
    return (element(parts, "quantized", format, col * rows + row) - zero) * scales[at]!;
  });
}

const grids = [
  [1, 32, 0],
  [3, 64, 32],
  [17, 96, 32],
  [65, 130, 0],
  [130, 64, 64],
] as const;

describe.each(["int8", "int4", "fp8_e4m3"])("%s", (format) => {
  it.each(grids)("[%d, %d] in groups of %d, symmetric or not", async (rows, cols, group) => {
    const w = randomArray(rows * cols, rows).map((value) => value * 0.7 + 0.5);
    for (const symmetric of format === "fp8_e4m3" ? [true] : [true, false]) {
      const parts = await quantizeArray(w, rows, { format, layout: "onnx", group, symmetric });
      const call = { format, w, rows, cols, group, symmetric, isa: "ref", threads: 1 };
      const { dequantized } = binding.testing["quantize_matrix"]!(call) as { dequantized: Float32Array };
      compareExact(
        dequantize(parts, format, rows, cols).map((value) => value + 0),
        dequantized.map((value) => value + 0),
        `symmetric ${symmetric}`,
      );
      const groups = group === 0 ? 1 : cols / group;
      expect(parts.get("scale")!.shape).toEqual(groups === 1 ? [rows] : [groups, rows]);
      expect(parts.has("zero_point")).toBe(!symmetric);
      parts.get("quantized")!.bytes[0]! ^= 5;
      expect(() => compareExact(dequantize(parts, format, rows, cols), dequantized, "changed")).toThrow("changed");
    }
  });
});

it("repeats the scales of blocks and of a whole tensor for every row", async () => {
  const w = randomArray(6 * 8, 3);
  const grid = { format: "int8", layout: "onnx", blockRows: 4, blockCols: 4 };
  const scales = new Float32Array((await quantizeArray(w, 6, grid)).get("scale")!.bytes.buffer);
  expect(scales.length).toBe(12);
  compareExact(scales.subarray(0, 4), new Array<number>(4).fill(scales[0]!), "first rows");
  expect(scales[4]).not.toBe(scales[3]);
  const whole = await quantizeArray(w, 6, { format: "int8", layout: "onnx", blockRows: -1 });
  expect(new Set(new Float32Array(whole.get("scale")!.bytes.buffer)).size).toBe(1);
  expect(whole.get("scale")!.shape).toEqual([6]);
});

it("rounds scales to their type before codes, and writes them in it", async () => {
  const parts = await quantizeArray(randomArray(64, 1), 2, {
    format: "int8",
    layout: "onnx",
    group: 0,
    scaleType: "bf16",
  });
  expect(parts.get("scale")).toMatchObject({ type: "BF16", shape: [2] });
});

it("refuses codes that ONNX has none of, and scales that f16 cannot hold", async () => {
  const w = randomArray(128, 2);
  const unfit = (text: string) =>
    expect.objectContaining({ code: "ERR_WEIGHT_FORMAT", message: expect.stringContaining(text) as string }) as Error;
  for (const format of ["nf4", "mxfp4", "nvfp4", "fp8_e5m2"])
    await expect(quantizeArray(w, 1, { format, layout: "onnx" })).rejects.toThrow(unfit("ONNX: no type"));
  const with16 = (largest: number) =>
    quantizeArray(Float32Array.of(largest, 1), 1, { format: "int8", layout: "onnx", group: 0, scaleType: "f16" });
  expect((await with16(60000)).get("quantized")!.bytes[0]).toBe(127);
  await expect(with16(66000)).rejects.toThrow(unfit("scale 0"));
});
