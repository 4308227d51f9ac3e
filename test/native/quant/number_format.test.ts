/**
 * quantize_matrix: every number format, grid and range method. References: what the tools that define a format made of
 * weights (test/oracles/), and plain conversions of single values.
 */
import { createHash } from "node:crypto";
import { binding } from "../../../src/binding.js";
import { compareExact } from "../../compare.js";
import { isas, randomArray } from "../kernels/matmul-cases.js";
import * as int4 from "./int4-fixture.js";

interface Options {
  format: string;
  w: Float32Array;
  rows: number;
  cols: number;
  isa?: string;
  threads?: number;
  symmetric?: boolean;
  group?: number;
  blockRows?: number;
  blockCols?: number;
  method?: "max" | "percentile" | "mse" | "hqq";
  percentile?: number;
  integerZeros?: boolean;
  scaleType?: number;
}

interface Quantized {
  codes: Uint8Array;
  scales: Float32Array;
  zeros: Float32Array;
  globalScale: number;
  dequantized: Float32Array;
  squaredError: number;
  squaredSum: number;
}

const quantize = (options: Options): Quantized =>
  binding.testing["quantize_matrix"]!({ isa: "ref", threads: 1, ...options }) as Quantized;

interface Row {
  id: string;
  type: string;
  bits: number;
  group: number;
  values: Float32Array;
}
const formats = binding.testing["number_formats"]!({}) as Row[];

/** Values of every size: large ones, subnormals of the codes, exact ties, zeros. */
function awkward(length: number, seed: number): Float32Array {
  const w = randomArray(length, seed);
  return w.map((value, i) => (i % 7 === 0 ? value * 40 : i % 11 === 0 ? 0 : i % 13 === 0 ? value * 1e-3 : value));
}

/** About normal, as weights are. */
function normal(length: number): Float32Array {
  const parts = [1, 2, 3, 4, 5, 6].map((seed) => randomArray(length, seed));
  return Float32Array.from({ length }, (_, i) => parts.reduce((sum, part) => sum + part[i]!, 0) * 0.05);
}

const variants: Partial<Options>[] = [
  {},
  { group: 32 },
  { group: 0 },
  { blockRows: 8, blockCols: 32 },
  { blockRows: -1 },
  { scaleType: 2 },
  { method: "mse" },
  { method: "percentile", percentile: 0.98 },
];
const asymmetric: Partial<Options>[] = [
  { symmetric: false },
  { symmetric: false, group: 32 },
  { symmetric: false, group: 64, method: "hqq" },
  { symmetric: false, group: 64, method: "hqq", integerZeros: false },
];

/** What a format accepts of the variants; what it refuses is a test of its own. */
const acceptedBy = ({ id }: Row): Partial<Options>[] => {
  if (id.startsWith("mx") || id.startsWith("nv")) return [{}, { method: "mse" }];
  if (id === "nf4" || id === "fp4") return variants.filter((variant) => variant.group !== 0);
  return id.startsWith("int") ? [...variants, ...asymmetric] : variants;
};

describe.each(formats)("$id", (format) => {
  it("gives the same codes and scales on every ISA and number of threads", () => {
    for (const [rows, cols] of [
      [1, 128],
      [3, 256],
      [17, 384],
      [40, 128],
    ] as const)
      for (const variant of acceptedBy(format)) {
        const call = { format: format.id, w: awkward(rows * cols, rows), rows, cols, ...variant };
        const expected = quantize(call);
        for (const isa of isas)
          for (const threads of [1, 2]) {
            const actual = quantize({ ...call, isa, threads });
            const label = `${isa} ${threads} ${rows}x${cols} ${JSON.stringify(variant)}`;
            compareExact(actual.codes, expected.codes, label);
            compareExact(actual.scales, expected.scales, label);
            compareExact(actual.zeros, expected.zeros, label);
          }
      }
  });

  // Vector code multiplies by reciprocals and looks limits up by steps: weights at limits, and a few floats beside them,
  // under scales of every size.
  it("gives the same codes on every ISA where they change", () => {
    const values = [...new Set(format.values.filter(Number.isFinite))].sort((a, b) => a - b);
    const limits = values.slice(1).map((value, i) => (value + values[i]!) / 2);
    const [rows, cols] = [64, 1024];
    const w = randomArray(rows * cols, 11);
    const group = format.group === 0 ? cols : format.group;
    for (let cell = 0; cell < w.length / group; ++cell) {
      const first = cell * group;
      const size = 2 ** ((((cell * 37) % 61) - 30) * (format.id === "nvfp4" ? 0.2 : 4));
      const largest = Math.fround(Math.abs(w[first]!) * size);
      const alone = Float32Array.from({ length: group }, (_, i) => (i === 0 ? largest : 0));
      const { scales } = quantize({ format: format.id, w: alone, rows: 1, cols: group });
      w[first] = largest;
      for (let i = 1; i < group; ++i) {
        const limit = Math.fround(limits[(cell * 31 + i) % limits.length]! * scales[0]!);
        w[first + i] = Math.fround(limit * (1 + ((i % 7) - 3) * 2 ** -23));
      }
    }
    const call = { format: format.id, w, rows, cols };
    const expected = quantize(call);
    for (const isa of isas) {
      const actual = quantize({ ...call, isa });
      compareExact(actual.scales, expected.scales, isa);
      compareExact(actual.codes, expected.codes, isa);
    }
  });

  it("takes the nearest value of its table", () => {
    const [rows, cols] = [9, 256];
    const w = awkward(rows * cols, 5);
    const variant = format.id === "nf4" || format.id === "fp4" ? { group: 256 } : {};
    const { codes, scales } = quantize({ format: format.id, w, rows, cols, ...variant });
    const spread = Math.max(...format.values.filter(Number.isFinite));
    w.forEach((value, i) => {
      const scale = scales[Math.floor((i * scales.length) / w.length)]!;
      const distance = (v: number) => Math.abs(v * scale - value);
      const nearest = Math.min(...Array.from(format.values, distance).filter((d) => !Number.isNaN(d)));
      // Thresholds of nf4 and fp4 are published constants within 2e-7 of the midpoints.
      expect(distance(format.values[codes[i]!]!)).toBeLessThanOrEqual(nearest + scale * spread * 1e-6);
    });
  });

  it("zeros have the code of 0 and stay 0; the worst value is named", () => {
    const [rows, cols] = [2, 128];
    const { dequantized } = quantize({ format: format.id, w: new Float32Array(rows * cols), rows, cols });
    expect(dequantized.every((value) => value === 0)).toBe(true);
    for (const bad of [NaN, Infinity, -Infinity]) {
      const w = awkward(rows * cols, 3);
      w[128 + 7] = bad;
      expect(() => quantize({ format: format.id, w, rows, cols })).toThrow(/weight \[1, 7\]/);
    }
  });

  it("a matrix without rows has nothing", () => {
    const { codes } = quantize({ format: format.id, w: new Float32Array(0), rows: 0, cols: 128 });
    expect(codes.length).toBe(0);
  });
});

describe("quantize_matrix", () => {
  const [rows, cols] = [6, 256];
  const w = awkward(rows * cols, 11);

  it.each(int4.cases)(
    "int4 in groups of $groupSize, symmetric $symmetric: what compressed-tensors makes of it",
    ({ groupSize, symmetric, scales, zeroPoints, packed, dequantized }) => {
      for (const isa of isas) {
        const call = { format: "int4", w: int4.weight, rows: int4.rows, cols: int4.cols, group: groupSize, symmetric };
        const actual = quantize({ ...call, isa });
        compareExact(actual.scales, scales, `${isa} scales`);
        if (!symmetric) compareExact(actual.zeros, zeroPoints, `${isa} zeros`);
        const codes = actual.codes.map((_, i) => (packed[i >> 3]! >>> (4 * (i & 7))) & 15);
        compareExact(actual.codes, codes, `${isa} codes`);
        const digest = createHash("sha256").update(new Uint8Array(actual.dequantized.buffer)).digest("hex");
        expect(digest).toBe(dequantized);
      }
    },
  );

  it("integers keep zeros, tiny and huge groups finite", () => {
    for (const format of ["int4", "int8"])
      for (const symmetric of [true, false])
        for (const values of [
          [0, 0, 0, 0],
          [1e-45, 0, 0, -1e-45],
          [3e38, -3e38, 0, 1],
        ]) {
          const found = quantize({ format, w: Float32Array.from(values), rows: 1, cols: 4, group: 0, symmetric });
          expect([...found.scales, ...found.dequantized].every(Number.isFinite)).toBe(true);
          expect(found.dequantized[2]).toBe(0);
        }
  });

  it.each(["nf4", "fp4"])("%s equals the reference of bitsandbytes' scheme, blocks across rows", (format) => {
    const [oddRows, oddCols] = [7, 83];
    const odd = awkward(oddRows * oddCols, 4);
    const actual = quantize({ format, w: odd, rows: oddRows, cols: oddCols, isa: isas.at(-1)! });
    const packed = new Uint8Array(Math.ceil(odd.length / 2));
    const absmax = new Float32Array(Math.ceil(odd.length / 64));
    binding.testing["block4_quantize"]!({ type: format, values: odd, blockSize: 64, packed, absmax });
    compareExact(actual.scales, absmax, "absmax");
    const bytes = packed.map((_, i) => (actual.codes[2 * i]! << 4) | (actual.codes[2 * i + 1] ?? packed[i]! & 15));
    compareExact(bytes, packed, "codes");
  });

  it.each(["e4m3", "e5m2"])("fp8_%s equals the reference conversion of all bf16 values", (type) => {
    const all = new Float32Array(Uint32Array.from({ length: 1 << 16 }, (_, i) => i << 16).buffer);
    const finite = all.filter((value) => Number.isFinite(value) && Math.abs(value) < 1e30);
    const largest = type === "e4m3" ? 448 : 57344;
    const values = Float32Array.from([...finite.filter((value) => Math.abs(value) <= largest), largest]);
    const expected = new Uint8Array(values.length);
    binding.testing["f32_to_fp8"]!({ type, values, out: expected });
    for (const isa of isas) {
      const call = { format: `fp8_${type}`, w: values, rows: 1, cols: values.length, isa };
      const actual = quantize(call);
      expect(actual.scales[0]).toBe(1);
      compareExact(actual.codes, expected, isa);
    }
  });

  it("scales are rounded before the codes are chosen", () => {
    const { codes, scales } = quantize({ format: "int8", w, rows, cols, scaleType: 2 });
    for (const scale of scales) expect(new Uint32Array(Float32Array.of(scale).buffer)[0]! & 0xffff).toBe(0);
    const expected = w.map((value, i) => {
      const q = Math.fround(value / scales[Math.floor(i / cols)]!);
      const floor = Math.floor(q);
      const even = floor % 2 === 0 ? floor : floor + 1;
      const rounded = q - floor === 0.5 ? even : Math.round(q);
      return Math.max(-128, Math.min(127, rounded)) & 255;
    });
    compareExact(codes, Uint8Array.from(expected), "codes");
  });

  it("MSE never has a larger error than max; HQQ has a smaller one than round-to-nearest on usual weights", () => {
    for (const { id } of formats) {
      const variant = id === "int8" || id.startsWith("fp8") ? { group: 64 } : {};
      const call = { format: id, w, rows, cols, ...variant };
      const most = quantize(call).squaredError;
      expect(quantize({ ...call, method: "mse" }).squaredError).toBeLessThanOrEqual(most);
    }
    const usual = normal(rows * cols);
    const call = { format: "int4", w: usual, rows, cols, group: 64, symmetric: false };
    const absolute = ({ dequantized }: Quantized) =>
      dequantized.reduce((sum, v, i) => sum + Math.abs(v - usual[i]!), 0);
    const nearest = absolute(quantize(call));
    expect(absolute(quantize({ ...call, method: "hqq", integerZeros: false }))).toBeLessThan(nearest);
  });

  it("a percentile leaves out the largest weights", () => {
    const values = Float32Array.from({ length: 100 }, (_, i) => i - 50);
    const { scales } = quantize({
      format: "int8",
      w: values,
      rows: 1,
      cols: 100,
      method: "percentile",
      percentile: 0.9,
    });
    expect(scales[0]).toBeCloseTo(45 / 127.5, 6);
  });

  it("nvfp4 keeps its scales in the range of e4m3", () => {
    const { globalScale, scales } = quantize({ format: "nvfp4", w, rows, cols });
    const most = w.reduce((m, v) => Math.max(m, Math.abs(v)), 0);
    expect(globalScale).toBeCloseTo((448 * 6) / most, 3);
    for (const scale of scales) expect(scale * globalScale).toBeLessThanOrEqual(448.001);
  });

  it("refuses what a format does not have", () => {
    const bad = (options: Partial<Options>, message: RegExp) =>
      expect(() => quantize({ format: "int4", w, rows, cols, ...options })).toThrow(message);
    bad({ group: 48 }, /groups of 48 do not divide 256 columns/);
    bad({ format: "mxfp4", group: 64 }, /mxfp4 has groups of 32 columns and no others/);
    bad({ format: "nf4", group: 48 }, /power of two from 32 to 4096/);
    bad({ format: "fp8_e4m3", symmetric: false }, /no zero points/);
    bad({ method: "hqq" }, /asymmetric/);
    bad({ method: "percentile", percentile: 0 }, /percentile: expected above 0/);
  });
});
