import { binding, type IsaName } from "../../../src/binding.js";
import { compareExact, expectWithin } from "../../compare.js";
import {
  type FormatId,
  type MatmulCall,
  type Product,
  type Shape,
  awkwardCall,
  bf16Dot,
  copyOf,
  dynamicOf,
  formats,
  groupedFormats,
  inputScaleOf,
  isas,
  matmul,
  randomArray,
  staticFormats,
} from "./matmul-cases.js";

/** One, odd, prime, tails of every vector and tile, one real model shape. */
const shapes: Shape[] = [
  ...[1, 2, 3, 7, 8, 9, 13, 15, 16, 17, 31, 43].map((m) => ({ m, n: 33, k: 65 })),
  ...[1, 2, 3, 5, 15, 16, 17, 31, 32, 48, 100].map((n) => ({ m: 2, n, k: 17 })),
  ...[1, 2, 3, 4, 5, 7, 16, 31, 64, 129, 576].map((k) => ({ m: 1, n: 49, k })),
  ...[1, 2, 3, 5, 255, 256, 257, 600].map((k) => ({ m: 17, n: 40, k })),
  { m: 1, n: 576, k: 1536 },
  { m: 200, n: 576, k: 100 },
  { m: 29, n: 300, k: 576 },
];

/** float64 result of the call, through unpacked weights. */
function expectedOf(call: MatmulCall): MatmulCall {
  const reference = { ...copyOf(call), reference: true };
  matmul(reference);
  return reference;
}

const toleranceOf = (format: string) =>
  format.startsWith("nf4")
    ? "matmul/table4"
    : groupedFormats.includes(dynamicOf(format))
      ? "matmul/grouped"
      : (`matmul/${format === bf16Dot ? "bf16" : (dynamicOf(format) as FormatId)}` as const);

describe.each([...formats, bf16Dot, ...groupedFormats, ...staticFormats])("matmul with %s weights", (format) => {
  it("equals the reference over awkward shapes on every ISA", () => {
    for (const shape of shapes)
      for (const variant of [0, 1, 2]) {
        if (variant > 0 && shape.n * shape.k * shape.m > 1e6) continue;
        const call = awkwardCall(shape, format, variant === 1, variant >= 1);
        const expected = expectedOf(call);
        for (const isa of isas)
          for (const threads of [1, 2]) {
            const actual = { ...copyOf(call), isa, threads };
            matmul(actual);
            const label = `${isa} threads ${threads} ${JSON.stringify(shape)} variant ${variant}`;
            expectWithin(actual.products[0]!.out, expected.products[0]!.out, toleranceOf(format), label);
          }
      }
  });

  it("k = 0 leaves the epilogue, m = 0 and n = 0 do nothing", () => {
    for (const isa of isas) {
      const bias = randomArray(5, 1);
      const out = new Float32Array(10).fill(2);
      const inputScale = staticFormats.includes(format) ? { inputScale: 1 } : {};
      const product: Product = { format, ...inputScale, w: new Float32Array(0), n: 5, k: 0, bias, out, ldo: 5 };
      matmul({ isa, m: 2, x: new Float32Array(4), ldx: 2, products: [product] });
      expect([...out]).toEqual([...bias, ...bias]);
      matmul({ isa, m: 1, x: new Float32Array(4), ldx: 2, products: [{ ...product, accumulate: true }] });
      expect([...out]).toEqual([...bias.map((b) => b + b), ...bias]);
      matmul({ isa, m: 0, x: new Float32Array(4), ldx: 2, products: [{ ...product, w: randomArray(10, 1), k: 2 }] });
      matmul({ isa, m: 2, x: new Float32Array(4), ldx: 2, products: [{ ...product, n: 0, k: 2 }] });
      expect([...out]).toEqual([...bias.map((b) => b + b), ...bias]);
    }
  });
});

/** The nearest value of e4m3, ties to even, at most 448. */
function e4m3(value: number): number {
  const size = Math.abs(value);
  if (size >= 448) return Math.sign(value) * 448;
  const step = 2 ** (Math.max(Math.floor(Math.log2(size)), -6) - 3);
  const steps = size / step;
  const floor = Math.floor(steps);
  return Math.sign(value) * step * (steps - floor === 0.5 ? floor + (floor & 1) : Math.round(steps));
}

describe("matmul", () => {
  it("runs a group of several formats and widths at once", () => {
    for (const isa of isas)
      for (const m of [1, 5, 40]) {
        const k = 70;
        const products = formats.flatMap((format, i) =>
          [16 + i, 35 * (i + 1)].map((n) => ({ ...awkwardCall({ m, n, k }, format, i % 2 === 0, true).products[0]! })),
        );
        const call: MatmulCall = { ...awkwardCall({ m, n: 1, k }, "f32", false, false), products };
        const expected = expectedOf(call);
        const actual = { ...copyOf(call), isa };
        matmul(actual);
        actual.products.forEach((product, i) =>
          expectWithin(product.out, expected.products[i]!.out, toleranceOf(product.format), `${isa} m ${m}`),
        );
      }
  });

  it.each(["int8-w8a8", "int8-w8a8-static"])("%s gives the same bits on every ISA and thread count", (format) => {
    for (const m of [1, 3, 8, 14, 57]) {
      const call = awkwardCall({ m, n: 77, k: 333 }, format, true, true);
      const expected: MatmulCall = { ...copyOf(call), isa: "ref", threads: 1 };
      matmul(expected);
      for (const isa of isas)
        for (const threads of [1, 2]) {
          const actual = { ...copyOf(call), isa, threads };
          matmul(actual);
          compareExact(actual.products[0]!.out, expected.products[0]!.out, `${isa} m ${m}`);
        }
    }
  });

  it("W8A8 is exact at the extremes: every value at +-127", () => {
    const [n, k] = [48, 600];
    for (const isa of isas)
      for (const m of [1, 2, 20])
        for (const sign of [1, -1]) {
          const out = new Float32Array(m * n);
          const x = new Float32Array(m * k).fill(sign);
          matmul({
            isa,
            m,
            x,
            ldx: k,
            products: [{ format: "int8-w8a8", w: new Float32Array(n * k).fill(1), n, k, out, ldo: n }],
          });
          const scale = Math.fround(Math.fround(1 / 127) * Math.fround(1 / 127));
          const expected = new Float32Array(m * n).fill(Math.fround(127 * 127 * k * sign) * scale);
          compareExact(out, expected, isa);
        }
  });

  it("W8A8 shows NaN and infinity of x in that row alone; rows of zeros and of tiny values give zero", () => {
    const [m, n, k] = [20, 33, 40];
    for (const isa of isas) {
      const x = randomArray(m * k, 5);
      x[2 * k + 1] = NaN;
      x[11 * k + 39] = -Infinity;
      x.fill(0, 4 * k, 5 * k);
      x.fill(1e-41, 17 * k, 18 * k);
      const out = new Float32Array(m * n);
      matmul({ isa, m, x, ldx: k, products: [{ format: "int8-w8a8", w: randomArray(n * k, 6), n, k, out, ldo: n }] });
      for (let row = 0; row < m; ++row) {
        const values = out.subarray(row * n, (row + 1) * n);
        if (row === 2 || row === 11) expect(values.every(Number.isNaN)).toBe(true);
        else if (row === 4 || row === 17) expect(values.every((v) => v === 0)).toBe(true);
        else expect(values.every((v) => Number.isFinite(v) && v !== 0)).toBe(true);
      }
    }
  });

  it.each(staticFormats)("%s divides, rounds half to even, saturates, and shows NaN in its row alone", (format) => {
    const int8 = format.startsWith("int8");
    // The identity, whose 1 int8 keeps as 127 / 127.5: the product is x as its codes keep it.
    const one = int8 ? 127 / 127.5 : 1;
    const k = 24;
    const w = Float32Array.from({ length: k * k }, (_, i) => (i % (k + 1) === 0 ? 1 : 0));
    const inputScale = 0.1;
    const scale = Math.fround(0.1);
    const values = int8
      ? [0.05, 0.15, 0.25, -0.05, -0.15, -0.25, 12.7, 12.75, 1e30, -12.8, -12.85, -1e30, 3e38, 1e-41, -0, 0.3]
      : [0.1, 0.17, -0.1 / 512, 44.8, 46, 1e30, -44.8, -1e30, 3e38, -3e38, 1e-41, -0, 0.0002, 3.3, 20.01, -7.77];
    const code = (x: number): number => {
      const steps = Math.fround(Math.fround(x) / scale);
      if (!int8) return e4m3(steps);
      const floor = Math.floor(steps);
      const half = steps - floor === 0.5 ? floor + (floor & 1) : Math.round(steps);
      return Math.min(127, Math.max(-128, half));
    };
    const row = Float32Array.from({ length: k }, (_, i) => values[i % values.length]!);
    for (const isa of isas)
      for (const m of [1, 4, 5, 20]) {
        const x = Float32Array.from({ length: m * k }, (_, i) => row[i % k]!);
        if (m > 1) x[k] = NaN;
        if (m > 4) x[3 * k + 7] = -Infinity;
        const out = new Float32Array(m * k);
        matmul({ isa, m, x, ldx: k, products: [{ format, w, n: k, k, inputScale, out, ldo: k }] });
        for (let r = 0; r < m; ++r) {
          const found = [...out.subarray(r * k, (r + 1) * k)];
          if ((r === 1 && m > 1) || (r === 3 && m > 4)) expect(found.every(Number.isNaN)).toBe(true);
          else found.forEach((value, i) => expect(value).toBeCloseTo(code(row[i]!) * scale * one, 4));
        }
      }
  });

  it("int8-w8a8-static is exact where every product is -128 times -128 or 127", () => {
    const [n, k] = [33, 600];
    for (const isa of isas)
      for (const m of [1, 2, 20]) {
        const w = Float32Array.from({ length: n * k }, (_, i) => (Math.floor(i / k) % 2 === 0 ? -127.5 : 127.5));
        const out = new Float32Array(m * n);
        const x = new Float32Array(m * k).fill(-1000);
        matmul({ isa, m, x, ldx: k, products: [{ format: "int8-w8a8-static", w, n, k, inputScale: 1, out, ldo: n }] });
        const expected = out.map((_, i) => ((i % n) % 2 === 0 ? 128 * 128 * k : -128 * 127 * k));
        compareExact(out, expected, `${isa} m ${m}`);
      }
  });

  it("static products of one group keep scales of their own, and share a stage where they agree", () => {
    const [n, k] = [40, 70];
    const scales = [1, 2, 1, 4].map((factor) => Math.fround(factor * inputScaleOf("int8-w8a8-static")));
    for (const isa of isas)
      for (const m of [1, 5, 40]) {
        const shape = { m, n, k };
        const products = [...staticFormats, "int8-w8a8"].flatMap((format) =>
          scales.map((inputScale) => ({
            ...awkwardCall(shape, format, false, true).products[0]!,
            ...(staticFormats.includes(format) ? { inputScale } : {}),
          })),
        );
        const call: MatmulCall = { ...awkwardCall(shape, "f32", false, false), products };
        const expected = expectedOf(call);
        const actual = { ...copyOf(call), isa };
        matmul(actual);
        actual.products.forEach((product, i) =>
          expectWithin(product.out, expected.products[i]!.out, toleranceOf(product.format), `${isa} m ${m} ${i}`),
        );
      }
  });

  it("grouped formats: int8 activations cost at most half a step of each group", () => {
    const [n, k] = [33, 256];
    for (const format of groupedFormats.filter((id) => !id.includes("fp8")))
      for (const isa of isas) {
        const [few, many] = [8, 9].map((m) => {
          const x = randomArray(9 * k, 2);
          const product: Product = { format, w: randomArray(n * k, 1), n, k, out: new Float32Array(m * n), ldo: n };
          matmul({ isa, m, x, ldx: k, products: [product] });
          return product.out;
        });
        const weights = new Float32Array(n * k);
        const packed = binding.testing["pack_weights"]!({ format, w: randomArray(n * k, 1), n, k });
        binding.testing["unpack_weights"]!({ format, packed, n, k, rowBegin: 0, count: n, out: weights });
        for (let column = 0; column < n; ++column) {
          // absmax of x is below 1: half a step is below 1 / 254.
          const bound = weights.subarray(column * k, (column + 1) * k).reduce((sum, w) => sum + Math.abs(w), 0) / 254;
          for (let row = 0; row < 8; ++row)
            expect(Math.abs(few![row * n + column]! - many![row * n + column]!)).toBeLessThanOrEqual(bound);
        }
      }
  });

  it("grouped formats give the same bits on every vector ISA and thread count", () => {
    const vector = isas.filter((isa) => isa !== "ref");
    for (const format of groupedFormats)
      for (const m of [1, 3, 8, 21]) {
        const call = awkwardCall({ m, n: 149, k: 333 }, format, true, true);
        const runOn = (isa: IsaName, threads: number) => {
          const run: MatmulCall = { ...copyOf(call), isa, threads };
          matmul(run);
          return run.products[0]!.out;
        };
        for (const isa of vector) {
          // In few rows nf4's table has other roundings on AVX2 and AVX-512.
          const reference = format.startsWith("nf4") ? isa : vector[0]!;
          const label = `${format} ${isa} m ${m}`;
          for (const threads of [1, 2]) compareExact(runOn(isa, threads), runOn(reference, 1), label);
        }
      }
  });

  it("grouped formats show NaN and infinity of x in that row alone", () => {
    const [n, k] = [17, 96];
    for (const format of groupedFormats)
      for (const isa of isas)
        for (const m of [4, 20]) {
          const x = randomArray(m * k, 5);
          x[2 * k + 40] = NaN;
          x[3 * k + 95] = Infinity;
          const out = new Float32Array(m * n);
          matmul({ isa, m, x, ldx: k, products: [{ format, w: randomArray(n * k, 6), n, k, out, ldo: n }] });
          for (let row = 0; row < m; ++row) {
            const values = out.subarray(row * n, (row + 1) * n);
            if (row === 2 || row === 3) expect(values.some(Number.isFinite)).toBe(false);
            else expect(values.every(Number.isFinite)).toBe(true);
          }
        }
  });

  it("the comparison rejects one corrupted weight", () => {
    const call = awkwardCall({ m: 9, n: 33, k: 129 }, "f32", false, true);
    const expected = expectedOf(call);
    const product = call.products[0]!;
    product.w = product.w.slice();
    product.w[32 * 129 + 128]! += 0.01;
    for (const isa of isas) {
      const actual = { ...copyOf(call), isa };
      matmul(actual);
      expect(() => expectWithin(actual.products[0]!.out, expected.products[0]!.out, "matmul/f32")).toThrow();
    }
  });

  it("refuses wrong arguments", () => {
    const call = awkwardCall({ m: 20, n: 5, k: 6 }, "int8-w8a8", false, false);
    expect(() => matmul({ ...call, ldx: 5 })).toThrow(expect.objectContaining({ code: "ERR_SHAPE" }));
    expect(() => matmul({ ...call, m: -1 })).toThrow(expect.objectContaining({ code: "ERR_SHAPE" }));
    expect(() => matmul({ ...call, products: [{ ...call.products[0]!, ldo: 4 }] })).toThrow(
      expect.objectContaining({ code: "ERR_SHAPE" }),
    );
    expect(() => matmul({ ...call, workspaceMissing: 1 })).toThrow(expect.objectContaining({ code: "ERR_WORKSPACE" }));
    expect(() => matmul({ ...call, products: [] })).toThrow(expect.objectContaining({ code: "ERR_ARGUMENT" }));
    const other = awkwardCall({ m: 20, n: 5, k: 7 }, "f32", false, false).products[0]!;
    expect(() => matmul({ ...call, products: [call.products[0]!, other] })).toThrow("does not share");
  });
});
