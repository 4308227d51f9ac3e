import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { failureOf, freshRows, isas, randomArray, rowShapes, unaligned } from "./row-cases.js";

const layerNorm = binding.testing["layer_norm"]!;

describe("layer_norm", () => {
  it("reference follows the formula", () => {
    const out = new Float32Array(2);
    const [weight, bias] = [Float32Array.of(1, 2), Float32Array.of(0, 10)];
    layerNorm({
      x: Float32Array.of(3, 5),
      ldx: 2,
      weight,
      bias,
      out,
      ldo: 2,
      tokens: 1,
      hidden: 2,
      eps: 0,
      reference: true,
    });
    expect([...out]).toEqual([-1, 12]);
  });

  it.each(isas)("%s equals the reference, with and without bias", (isa) => {
    for (const [tokens, hidden] of rowShapes)
      for (const bias of [unaligned(randomArray(hidden, 3), 1), null]) {
        const [ldx, ldo] = [hidden + 3, hidden + 1];
        const x = unaligned(randomArray(tokens * ldx, 1), 1);
        const weight = unaligned(randomArray(hidden, 2), 1);
        const call = { x, ldx, weight, bias, ldo, tokens, hidden, eps: 1e-3 };
        const expected = freshRows(tokens, ldo);
        layerNorm({ ...call, out: expected, reference: true });
        for (const threads of [1, 2, 3]) {
          const out = freshRows(tokens, ldo);
          layerNorm({ ...call, out, isa, threads });
          expectWithin(out, expected, "layer_norm/f32", `${isa} ${tokens} x ${hidden}`);
        }
      }
  });

  it.each(isas)("%s keeps its digits when the mean is large", (isa) => {
    const x = randomArray(577, 5).map((value) => 1000 + value);
    const call = { x, ldx: 577, weight: new Float32Array(577).fill(1), ldo: 577, tokens: 1, hidden: 577 };
    const [out, expected] = [new Float32Array(577), new Float32Array(577)];
    layerNorm({ ...call, out: expected, reference: true });
    layerNorm({ ...call, out, isa });
    // x itself has an ulp of 6e-5 here, and the mean is rounded to it
    for (let i = 0; i < 577; ++i) expect(Math.abs(out[i]! - expected[i]!)).toBeLessThan(2e-4);
  });

  it.each(isas)("%s may write over its input", (isa) => {
    const x = randomArray(5 * 67, 3);
    const expected = new Float32Array(x.length);
    const call = { ldx: 67, weight: randomArray(67, 4), ldo: 67, tokens: 5, hidden: 67 };
    layerNorm({ ...call, x, out: expected, isa });
    layerNorm({ ...call, x, out: x, isa });
    expect(x).toEqual(expected);
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
    layerNorm(good);
    for (const [change, code, message] of [
      [{ tokens: -1 }, "ERR_ARGUMENT", "layer_norm: tokens: expected 0 or more, found -1"],
      [{ ldx: 3 }, "ERR_SHAPE", "layer_norm: ldx: expected at least the row width 4, found 3"],
      [{ weight: null }, "ERR_ARGUMENT", "layer_norm: weight: expected a pointer, found nullptr"],
      [{ out: null }, "ERR_ARGUMENT", "layer_norm: out: expected a pointer, found nullptr"],
    ] as const)
      expect(failureOf(() => layerNorm({ ...good, ...change }))).toEqual({ code, message });
  });
});
