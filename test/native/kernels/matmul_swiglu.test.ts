import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { formats, inputScaleOf, isas, matmul, randomArray, staticFormats, unaligned } from "./matmul-cases.js";

interface Side {
  format: string;
  w: Float32Array;
  n: number;
  k: number;
  inputScale?: number;
  bias?: Float32Array;
}

/** One of each kind of grouped kernel. */
const grouped = ["int4-g32-asym", "int8-g64", "nf4", "fp8_e4m3-g128-w8a8"];

/** float64 products and gating. */
function expectedOf(m: number, x: Float32Array, ldx: number, gate: Side, up: Side, ldo: number): Float32Array {
  const product = (side: Side) => {
    const out = new Float32Array(m * side.n);
    matmul({ m, x, ldx, reference: true, products: [{ ...side, out, ldo: side.n }] });
    return out;
  };
  const [g, u] = [product(gate), product(up)];
  const out = new Float32Array(m * ldo);
  for (let row = 0; row < m; ++row)
    for (let i = 0; i < gate.n; ++i) {
      const value = g[row * gate.n + i]!;
      out[row * ldo + i] = (value / (1 + Math.exp(-value))) * u[row * gate.n + i]!;
    }
  return out;
}

describe("matmul_swiglu", () => {
  it.each(isas)("%s equals the reference", (isa) => {
    for (const gateFormat of [...formats, ...grouped, ...staticFormats])
      for (const upFormat of [gateFormat, "f16"])
        for (const [m, n, k] of [
          [1, 1, 1],
          [1, 100, 33],
          [3, 49, 64],
          [17, 63, 31],
          [200, 80, 40],
          [2, 1100, 40],
          [20, 300, 300],
        ] as const) {
          const [ldx, ldo] = [k + 1, n + 2];
          const x = unaligned(randomArray(m * ldx, 1), 1);
          const gate: Side = { format: gateFormat, w: randomArray(n * k, 2), n, k, bias: randomArray(n, 3) };
          const up: Side = { format: upFormat, w: randomArray(n * k, 4), n, k };
          // Each with a scale of its own.
          if (staticFormats.includes(gateFormat)) gate.inputScale = inputScaleOf(gateFormat);
          if (staticFormats.includes(upFormat)) up.inputScale = 2 * inputScaleOf(upFormat);
          const expected = expectedOf(m, x, ldx, gate, up, ldo);
          for (const threads of [1, 2]) {
            const out = unaligned(new Float32Array(m * ldo), 1);
            binding.testing["matmul_swiglu"]!({ isa, threads, m, x, ldx, out, ldo, gate, up });
            const tolerance = gateFormat === "nf4" ? "matmul/table4" : "matmul_swiglu/f32";
            expectWithin(out, expected, tolerance, `${isa} ${gateFormat} ${upFormat} ${m} ${n} ${k}`);
          }
        }
  });

  it("refuses gate and up of different shapes", () => {
    const side = (n: number): Side => ({ format: "f32", w: randomArray(n * 4, 1), n, k: 4 });
    expect(() =>
      binding.testing["matmul_swiglu"]!({
        m: 1,
        x: randomArray(4, 1),
        ldx: 4,
        out: new Float32Array(8),
        ldo: 8,
        gate: side(3),
        up: side(4),
      }),
    ).toThrow(expect.objectContaining({ code: "ERR_SHAPE" }));
  });
});
