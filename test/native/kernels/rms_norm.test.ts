import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { failureOf, freshRows, isas, randomArray, rowShapes, unaligned } from "./row-cases.js";

const rmsNorm = binding.testing["rms_norm"]!;

describe("rms_norm", () => {
  it("reference follows the formula", () => {
    const out = new Float32Array(2);
    rmsNorm({
      x: Float32Array.of(3, 4),
      ldx: 2,
      weight: Float32Array.of(1, 2),
      out,
      ldo: 2,
      tokens: 1,
      hidden: 2,
      eps: 0,
      reference: true,
    });
    const scale = 1 / Math.sqrt(12.5);
    expectWithin(out, [3 * scale, 8 * scale], "rms_norm/f32");
  });

  it.each(isas)("%s equals the reference", (isa) => {
    for (const [tokens, hidden] of rowShapes) {
      const [ldx, ldo] = [hidden + 3, hidden + 1];
      const x = unaligned(randomArray(tokens * ldx, 1), 1);
      const weight = unaligned(randomArray(hidden, 2), 1);
      const call = { x, ldx, weight, ldo, tokens, hidden, eps: 1e-5 };
      const expected = freshRows(tokens, ldo);
      rmsNorm({ ...call, out: expected, reference: true });
      for (const threads of [1, 2, 3]) {
        const out = freshRows(tokens, ldo);
        rmsNorm({ ...call, out, isa, threads });
        expectWithin(out, expected, "rms_norm/f32", `${isa} ${tokens} x ${hidden}`);
      }
    }
  });

  it.each(isas)("%s may write over its input", (isa) => {
    const x = randomArray(5 * 67, 3);
    const weight = randomArray(67, 4);
    const expected = new Float32Array(x.length);
    const call = { ldx: 67, weight, ldo: 67, tokens: 5, hidden: 67 };
    rmsNorm({ ...call, x, out: expected, isa });
    rmsNorm({ ...call, x, out: x, isa });
    expect(x).toEqual(expected);
  });

  it("eps keeps rows of zeros finite and NaN stays in its row", () => {
    for (const isa of isas) {
      const x = Float32Array.of(0, 0, 0, NaN, 1, 2, 1, 2, 3);
      const out = new Float32Array(9);
      rmsNorm({ x, ldx: 3, weight: new Float32Array(3).fill(1), out, ldo: 3, tokens: 3, hidden: 3, isa });
      expect([...out.subarray(0, 3)]).toEqual([0, 0, 0]);
      expect([...out.subarray(3, 6)]).toEqual([NaN, NaN, NaN]);
      expect(out.subarray(6).every(Number.isFinite)).toBe(true);
    }
  });

  it("refuses wrong arguments by name", () => {
    const good = {
      x: new Float32Array(8),
      ldx: 4,
      weight: new Float32Array(4),
      out: new Float32Array(8),
      ldo: 4,
      tokens: 2,
      hidden: 4,
    };
    rmsNorm(good);
    for (const [change, code, message] of [
      [{ tokens: -1 }, "ERR_ARGUMENT", "rms_norm: tokens: expected 0 or more, found -1"],
      [{ hidden: -4 }, "ERR_ARGUMENT", "rms_norm: hidden: expected 0 or more, found -4"],
      [{ ldx: 3 }, "ERR_SHAPE", "rms_norm: ldx: expected at least the row width 4, found 3"],
      [{ ldo: 0 }, "ERR_SHAPE", "rms_norm: ldo: expected at least the row width 4, found 0"],
      [{ x: null }, "ERR_ARGUMENT", "rms_norm: x: expected a pointer, found nullptr"],
      [{ weight: null }, "ERR_ARGUMENT", "rms_norm: weight: expected a pointer, found nullptr"],
      [{ out: null }, "ERR_ARGUMENT", "rms_norm: out: expected a pointer, found nullptr"],
    ] as const)
      expect(failureOf(() => rmsNorm({ ...good, ...change }))).toEqual({ code, message });
    rmsNorm({ ...good, x: null, weight: null, out: null, tokens: 0 });
  });
});
