import { binding } from "../../../src/binding.js";
import { compareExact } from "../../compare.js";
import { dynamicOf, formats, groupedFormats, isas, randomArray, staticFormats } from "../kernels/matmul-cases.js";

function pack(format: string, w: Float32Array, n: number, k: number, threads = 2): Uint8Array {
  return binding.testing["pack_weights"]!({ format, w, n, k, threads }) as Uint8Array;
}

function unpack(format: string, packed: Uint8Array, n: number, k: number, rowBegin = 0, count = n): Float32Array {
  const out = new Float32Array(count * k);
  binding.testing["unpack_weights"]!({ format, packed, n, k, rowBegin, count, out });
  return out;
}

function roundTrip(format: string, w: Float32Array, n: number, k: number): Float32Array {
  return unpack(format, pack(format, w, n, k), n, k);
}

/** Grouped formats beside the number formats and grids they can take whole. */
const asQuantized: { id: string; numbers: string; options: object }[] = [
  ...[32, 64, 128].flatMap((group) =>
    ["int4", "int8"].flatMap((numbers) => [
      { id: `${numbers}-g${group}`, numbers, options: { group } },
      { id: `${numbers}-g32`, numbers, options: { group } },
      { id: `${numbers}-g${group}-asym`, numbers, options: { group, symmetric: false } },
    ]),
  ),
  { id: "int4", numbers: "int4", options: { group: 0 } },
  { id: "int4-asym", numbers: "int4", options: { group: 0, symmetric: false } },
  { id: "int8-asym", numbers: "int8", options: { group: 0, symmetric: false } },
  { id: "int8", numbers: "int8", options: {} },
  { id: "int8", numbers: "int8", options: { blockRows: -1 } },
  { id: "int8-w8a8", numbers: "int8", options: {} },
  { id: "nf4", numbers: "nf4", options: {} },
  { id: "nf4", numbers: "nf4", options: { group: 128 } },
  { id: "nf4-g32", numbers: "nf4", options: { group: 32 } },
  { id: "fp4", numbers: "fp4", options: {} },
  { id: "mxfp4", numbers: "mxfp4", options: {} },
  { id: "mxfp8", numbers: "mxfp8", options: {} },
  { id: "fp8_e4m3", numbers: "fp8_e4m3", options: {} },
  { id: "fp8_e4m3", numbers: "fp8_e4m3", options: { blockRows: -1 } },
  { id: "fp8_e4m3-g128", numbers: "fp8_e4m3", options: { blockRows: 128, blockCols: 128 } },
  { id: "fp8_e5m2", numbers: "fp8_e5m2", options: {} },
];

const sizes = [1, 2, 3, 5, 15, 16, 17, 33, 64];

describe("weight formats", () => {
  it("lists the rows with the kernel of each level", () => {
    for (const isa of isas) {
      const rows = binding.testing["weight_formats"]!({ isa }) as { id: string; kernel: string }[];
      expect(rows.map((row) => row.id)).toEqual([...formats, ...groupedFormats, ...staticFormats]);
      for (const row of rows)
        expect(row.kernel).toMatch(
          /^matmul_(f32|bf16|int8|int8g|int8t|fp8|fp8g)_(f32|f16|bf16|int8|int4|nf4|fp4|e2m1|e4m3|e5m2)(_zeros)?_(ref|avx2|avx512|avx512_bf16)$/,
        );
    }
  });

  it.each(["f32", "f16", "bf16"])("%s round-trips what it can represent, exactly", (format) => {
    for (const n of sizes)
      for (const k of sizes) {
        const w = randomArray(n * k, n * 100 + k).map((v) => (format === "f32" ? v : Math.round(v * 127) / 64));
        w[0] = -0;
        compareExact(roundTrip(format, w, n, k), w, `${format} ${n} ${k}`);
      }
  });

  it.each(["int8", "int8-w8a8"])("%s is within half a scale, and equals a brute-force small case", (format) => {
    for (const n of sizes)
      for (const k of sizes) {
        const w = randomArray(n * k, n * 100 + k);
        const back = roundTrip(format, w, n, k);
        for (let row = 0; row < n; ++row) {
          const values = w.subarray(row * k, (row + 1) * k);
          const scale = Math.fround(values.reduce((most, v) => Math.max(most, Math.abs(v)), 0) / 127);
          for (let i = 0; i < k; ++i)
            expect(Math.abs(back[row * k + i]! - values[i]!)).toBeLessThanOrEqual(scale * 0.5 * (1 + 1e-5));
        }
      }
    // absmax 127 gives scale 1: halves go to the even neighbour.
    const w = Float32Array.of(127, 0.5, 1.5, 2.5, -0.5, -1.5, -126.5, 0);
    compareExact(roundTrip(format, w, 1, 8), Float32Array.of(127, 0, 2, 2, 0, -2, -126, 0), format);
  });

  it.each(["int8", "int8-w8a8"])("%s keeps a row of zeros and of the smallest values finite", (format) => {
    const w = new Float32Array(4 * 6);
    w.fill(1e-45, 6, 12);
    w.fill(3e38, 12, 18);
    const back = roundTrip(format, w, 4, 6);
    expect(back.every(Number.isFinite)).toBe(true);
    expect([...back.subarray(0, 6)]).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it.each([...formats, ...groupedFormats])(
    "%s unpacks any range of rows, and packs the same bytes with any thread count",
    (format) => {
      const [n, k] = [37, 11];
      const packed = pack(format, randomArray(n * k, 7), n, k);
      expect(packed.length % 64).toBe(0);
      expect(pack(format, randomArray(n * k, 7), n, k, 1)).toEqual(packed);
      const all = unpack(format, packed, n, k);
      for (const [begin, count] of [
        [0, 1],
        [15, 3],
        [36, 1],
        [5, 30],
        [4, 0],
      ] as const)
        compareExact(unpack(format, packed, n, k, begin, count), all.subarray(begin * k, (begin + count) * k), format);
      expect(pack(format, new Float32Array(0), 0, 5).length).toBe(0);
      expect(pack(format, new Float32Array(0), 5, 0).length).toBe(0);
    },
  );

  it.each([...formats, ...groupedFormats])("%s refuses NaN and infinity, naming the first row and column", (format) => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      const w = randomArray(40 * 9, 1);
      w[37 * 9 + 8] = bad;
      w[20 * 9 + 4] = bad;
      expect(() => pack(format, w, 40, 9)).toThrow(
        expect.objectContaining({ code: "ERR_WEIGHT_VALUE", message: expect.stringContaining("[20, 4]") }),
      );
    }
  });

  it("grouped formats hold what their number format keeps, whatever the group; a quantized weight loses nothing more", () => {
    const [n, k] = [37, 384];
    const w = randomArray(n * k, 9);
    for (const { id, numbers, options } of asQuantized) {
      const quantized = { format: numbers, w, rows: n, cols: k, isa: "ref", threads: 1, ...options };
      const { dequantized } = binding.testing["quantize_matrix"]!(quantized) as { dequantized: Float32Array };
      const packed = binding.testing["pack_quantized"]!({ ...quantized, to: id }) as Uint8Array;
      compareExact(unpack(id, packed, n, k), dequantized, id);
    }
  });

  it.each(staticFormats)("%s is packed as without -static, and ends in the input scale", (format) => {
    const [n, k] = [37, 45];
    const numbers = format.startsWith("int8") ? "int8" : "fp8_e4m3";
    const call = { format: numbers, w: randomArray(n * k, 9), rows: n, cols: k, isa: "ref", threads: 2 };
    const to = (id: string, more: object = {}) =>
      binding.testing["pack_quantized"]!({ ...call, to: id, ...more }) as Uint8Array;
    const packed = to(format, { inputScale: 0.25 });
    const tail = Buffer.alloc(64);
    tail.writeFloatLE(0.25);
    expect(Buffer.from(packed)).toEqual(Buffer.concat([to(dynamicOf(format)), tail]));
    compareExact(unpack(format, packed, n, k), unpack(dynamicOf(format), to(dynamicOf(format)), n, k), format);
    expect(() => to(format)).toThrow(/no input scale/);
    expect(() => to(format, { inputScale: NaN })).toThrow(expect.objectContaining({ code: "ERR_QUANT_SCALE" }));
    expect(() => pack(format, randomArray(4, 1), 2, 2)).toThrow(
      expect.objectContaining({ code: "ERR_WEIGHT_FORMAT", message: expect.stringContaining("no input scale") }),
    );
  });

  it("a quantized weight that does not fit a format is refused with what does not fit", () => {
    const call = { w: randomArray(4 * 96, 2), rows: 4, cols: 96, isa: "ref", threads: 1 };
    const to = (id: string, format: string, options: object) => () =>
      binding.testing["pack_quantized"]!({ ...call, format, to: id, ...options });
    expect(to("int4-g64", "int4", { group: 32 })).toThrow(/scales for every 32 columns do not fit rows of 96/);
    expect(to("int4-g32", "int4", { group: 32, symmetric: false })).toThrow(/no zero points/);
    expect(to("nf4", "nf4", {})).toThrow(/of the flattened weight do not fit/);
    expect(to("int8", "int4", { group: 0 })).toThrow(/expected codes of int8, found int4/);
    expect(to("f16", "int8", {})).toThrow(expect.objectContaining({ code: "ERR_WEIGHT_FORMAT" }));
  });

  it("f16 and bf16 refuse values that would round to infinity, and keep the largest that does not", () => {
    expect(() => pack("f16", Float32Array.of(65520), 1, 1)).toThrow("f16");
    compareExact(roundTrip("f16", Float32Array.of(65519), 1, 1), Float32Array.of(65504), "f16");
    expect(() => pack("bf16", Float32Array.of(3.4e38), 1, 1)).toThrow("bf16");
    compareExact(roundTrip("bf16", Float32Array.of(3.39e38), 1, 1), Float32Array.of(2 ** 127 * (2 - 2 ** -7)), "bf16");
  });

  it("int8-w8a8 refuses more columns than an exact int32 sum holds", () => {
    expect(() => pack("int8-w8a8", new Float32Array(131073), 1, 131073)).toThrow(
      expect.objectContaining({ code: "ERR_SHAPE" }),
    );
  });

  it("names the formats when asked for an unknown one", () => {
    expect(() => pack("int3", new Float32Array(1), 1, 1)).toThrow("f32, f16, bf16, int8, int8-w8a8");
  });
});
