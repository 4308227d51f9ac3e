import { binding, type IsaName } from "../../../src/binding.js";
import { compareExact, expectWithin } from "../../compare.js";
import { isas, randomArray, unaligned } from "./matmul-cases.js";

interface GemmCall {
  isa?: IsaName;
  threads?: number;
  a: Float32Array;
  b: Float32Array;
  c: Float32Array;
  m: number;
  n: number;
  k: number;
  lda: number;
  ldb: number;
  ldc: number;
  transposeA?: boolean;
  transposeB?: boolean;
  alpha?: number;
  beta?: number;
  reference?: boolean;
  workspaceMissing?: number;
}

function gemm(call: GemmCall): Float32Array {
  const c = unaligned(call.c, 1);
  binding.testing["gemm"]!({ ...call, c });
  return c;
}

/** Padded rows, odd addresses. */
function makeCall(m: number, n: number, k: number, form: number, alpha: number, beta: number): GemmCall {
  const [transposeA, transposeB] = [form % 2 === 1, form >= 2];
  const [lda, ldb, ldc] = [(transposeA ? m : k) + 1, (transposeB ? k : n) + 2, n + 3];
  const a = unaligned(randomArray((transposeA ? k : m) * lda, 1), 1);
  const b = unaligned(randomArray((transposeB ? n : k) * ldb, 2), 3);
  const c = randomArray(m * ldc, 3);
  return { a, b, c, m, n, k, lda, ldb, ldc, transposeA, transposeB, alpha, beta };
}

const shapes = [
  [1, 1, 1],
  [1, 17, 5],
  [2, 3, 300],
  [5, 16, 7],
  [6, 31, 33],
  [7, 15, 64],
  [13, 33, 129],
  [14, 32, 8],
  [15, 100, 257],
  [31, 49, 31],
  [100, 40, 13],
  [180, 70, 576],
] as const;

describe("gemm", () => {
  it.each([0, 1, 2, 3])("equals the reference, transpose form %d, on every ISA", (form) => {
    for (const [m, n, k] of shapes)
      for (const [alpha, beta] of [
        [1, 0],
        [1, 1],
        [-0.5, 0.25],
      ] as const) {
        if (m * n * k > 1e6 && alpha !== 1) continue;
        const call = makeCall(m, n, k, form, alpha, beta);
        const expected = gemm({ ...call, reference: true });
        for (const isa of isas)
          for (const threads of [1, 2])
            expectWithin(gemm({ ...call, isa, threads }), expected, "gemm/f32", `${isa} ${threads} ${m} ${n} ${k}`);
      }
  });

  it("cuts rows, columns and depth beyond one block, every transpose form", () => {
    for (const form of [0, 1, 2, 3])
      for (const [m, n, k] of [
        [530, 17, 300],
        [3, 1100, 515],
      ] as const) {
        const call = makeCall(m, n, k, form, 0.5, 0.5);
        const expected = gemm({ ...call, reference: true });
        for (const isa of isas.slice(1))
          for (const threads of [1, 3])
            expectWithin(gemm({ ...call, isa, threads }), expected, "gemm/f32", `${isa} ${threads} ${m} ${n} ${k}`);
      }
  });

  it("a workspace for the largest shape serves every smaller one", () => {
    const bytesOf = (m: number, n: number, k: number): number =>
      binding.testing["gemm"]!({ ...makeCall(m, n, k, 0, 1, 0), isa: isas.at(-1), threads: 3 }) as number;
    for (const [m, n, k] of shapes)
      for (const [dm, dn, dk] of [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [30, 90, 70],
      ] as const)
        expect(bytesOf(m + dm, n + dn, k + dk)).toBeGreaterThanOrEqual(bytesOf(m, n, k));
  });

  it("beta = 0 ignores what C holds; k = 0 and alpha = 0 leave beta C; empty shapes do nothing", () => {
    for (const isa of isas) {
      const call = { ...makeCall(3, 5, 4, 0, 1, 0), isa };
      const clean = gemm(call);
      const dirty = gemm({ ...call, c: new Float32Array(call.c.length).fill(NaN) });
      for (let row = 0; row < 3; ++row)
        compareExact(dirty.subarray(row * 8, row * 8 + 5), clean.subarray(row * 8, row * 8 + 5), isa);
      for (const none of [{ k: 0 }, { alpha: 0 }]) {
        const halved = gemm({ ...call, ...none, beta: 0.5 });
        expect(halved[9]).toBe(Math.fround(call.c[9]! * 0.5));
        expect(halved[5]).toBe(call.c[5]);
        expect(gemm({ ...call, ...none, beta: 0 })[9]).toBe(0);
      }
      compareExact(gemm({ ...call, m: 0 }), call.c, isa);
      compareExact(gemm({ ...call, n: 0 }), call.c, isa);
    }
  });

  it("the comparison rejects one corrupted operand", () => {
    const call = makeCall(15, 33, 257, 3, 1, 0);
    const expected = gemm({ ...call, reference: true });
    call.b[call.ldb * 32 + 256]! += 0.01;
    for (const isa of isas) expect(() => expectWithin(gemm({ ...call, isa }), expected, "gemm/f32")).toThrow();
  });

  it("refuses wrong arguments", () => {
    const call = makeCall(20, 5, 6, 0, 1, 0);
    const code = (name: string) => expect.objectContaining({ code: name }) as unknown as Error;
    expect(() => gemm({ ...call, lda: 5 })).toThrow(code("ERR_SHAPE"));
    expect(() => gemm({ ...call, ldb: 4 })).toThrow(code("ERR_SHAPE"));
    expect(() => gemm({ ...call, ldc: 4 })).toThrow(code("ERR_SHAPE"));
    expect(() => gemm({ ...call, k: -1 })).toThrow(code("ERR_SHAPE"));
    if (isas.length > 1)
      expect(() => gemm({ ...call, isa: isas[1]!, workspaceMissing: 1 })).toThrow(code("ERR_WORKSPACE"));
  });
});
