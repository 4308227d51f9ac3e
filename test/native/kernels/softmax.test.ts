import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { failureOf, freshRows, isas, randomArray, rowShapes, unaligned } from "./row-cases.js";

const softmax = binding.testing["softmax"]!;
const tokenLogprob = binding.testing["token_logprob"]!;

/** Distance in units in the last place of the f32 nearest to `expected`. */
function ulpsOff(actual: number, expected: number): number {
  const exponent = Math.max(Math.floor(Math.log2(Math.abs(expected))), -126);
  return Math.abs(actual - expected) / 2 ** (exponent - 23);
}

describe("vector exp", () => {
  it.each(isas)("%s is within 2 ulp over the normal range", (isa) => {
    const count = 1 << 18;
    const [low, high] = [-87.3, 88.7];
    const x = Float32Array.from({ length: count }, (_, i) => low + ((high - low) * i) / (count - 1));
    const out = new Float32Array(count);
    binding.testing["vector_exp"]!({ x, out, count, isa });
    let worst = 0;
    for (let i = 0; i < count; ++i) worst = Math.max(worst, ulpsOff(out[i]!, Math.exp(x[i]!)));
    expect(worst).toBeLessThan(2);
  });

  it.each(isas)("%s keeps subnormal results, 0, infinity and NaN", (isa) => {
    const x = Float32Array.of(-88, -95, -103, -104.5, -200, -Infinity, 0, -0, 88.72, 88.73, 89.5, 200, Infinity, NaN);
    const out = new Float32Array(x.length);
    binding.testing["vector_exp"]!({ x, out, count: x.length, isa });
    x.forEach((value, i) => {
      const expected = Math.fround(Math.exp(value));
      if (Number.isFinite(expected)) expect(ulpsOff(out[i]!, Math.exp(value))).toBeLessThan(2);
      else expect(out[i]).toBe(expected);
    });
  });
});

describe("softmax", () => {
  it.each(isas)("%s equals the reference", (isa) => {
    for (const [rows, width] of [...rowShapes, [2, 49152] as const]) {
      const [ldx, ldo] = [width + 3, width + 1];
      const x = unaligned(
        randomArray(rows * ldx, 1).map((value) => value * 20),
        1,
      );
      const expected = freshRows(rows, ldo);
      softmax({ x, ldx, out: expected, ldo, rows, width, reference: true });
      for (const threads of [1, 2, 3]) {
        const out = freshRows(rows, ldo);
        softmax({ x, ldx, out, ldo, rows, width, isa, threads });
        expectWithin(out, expected, "softmax/f32", `${isa} ${rows} x ${width}`);
      }
    }
  });

  it.each(isas)("%s sums to one, also with -inf and large values, in place", (isa) => {
    const x = Float32Array.of(-Infinity, 1e4, 1e4, -3e38, 9e3);
    softmax({ x, ldx: 5, out: x, ldo: 5, rows: 1, width: 5, isa });
    expect([...x]).toEqual([0, 0.5, 0.5, 0, 0]);
  });

  it.each(isas)("%s refuses a row of only -inf and spreads NaN over its row", (isa) => {
    const x = new Float32Array(6).fill(-Infinity);
    x[0] = 1;
    const failure = failureOf(() => softmax({ x, ldx: 3, out: new Float32Array(6), ldo: 3, rows: 2, width: 3, isa }));
    expect(failure).toEqual({ code: "ERR_ARGUMENT", message: "softmax: x: row 1 has no value above -inf" });
    const out = new Float32Array(3);
    softmax({ x: Float32Array.of(1, NaN, 2), ldx: 3, out, ldo: 3, rows: 1, width: 3, isa });
    expect([...out]).toEqual([NaN, NaN, NaN]);
  });
});

describe("token_logprob", () => {
  it.each(isas)("%s equals the reference", (isa) => {
    for (const [rows, width] of rowShapes) {
      const ldx = width + 3;
      const x = unaligned(
        randomArray(rows * ldx, 1).map((value) => value * 20),
        1,
      );
      const target = Int32Array.from({ length: rows }, (_, row) => (row * 31) % width);
      const [out, expected] = [new Float64Array(rows), new Float64Array(rows)];
      tokenLogprob({ x, ldx, target, out: expected, rows, width, reference: true });
      tokenLogprob({ x, ldx, target, out, rows, width, isa });
      expectWithin(out, expected, "token_logprob/f64", `${isa} ${rows} x ${width}`);
    }
  });

  it("reference follows the formula", () => {
    const out = new Float64Array(1);
    tokenLogprob({
      x: Float32Array.of(1, 2, 3),
      ldx: 3,
      target: Int32Array.of(0),
      out,
      rows: 1,
      width: 3,
      reference: true,
    });
    expect(out[0]).toBeCloseTo(1 - Math.log(Math.exp(1) + Math.exp(2) + Math.exp(3)), 12);
  });

  it("refuses wrong arguments by name", () => {
    const good = {
      x: new Float32Array(8),
      ldx: 4,
      target: Int32Array.of(0, 3),
      out: new Float64Array(2),
      rows: 2,
      width: 4,
    };
    tokenLogprob(good);
    for (const [change, code, message] of [
      [{ target: Int32Array.of(0, 4) }, "ERR_ARGUMENT", "token_logprob: target[1]: expected 0 to 3, found 4"],
      [{ width: 0 }, "ERR_ARGUMENT", "token_logprob: width: expected 1 or more, found 0"],
      [{ x: null }, "ERR_ARGUMENT", "token_logprob: x: expected a pointer, found nullptr"],
    ] as const)
      expect(failureOf(() => tokenLogprob({ ...good, ...change }))).toEqual({ code, message });
  });
});
