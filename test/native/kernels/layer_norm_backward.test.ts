import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { inner, numericGradient } from "./finite-differences.js";
import { failureOf, freshRows, isas, randomArray, rowShapes, unaligned } from "./row-cases.js";

const layerNormBackward = binding.testing["layer_norm_backward"]!;

type Numbers = ArrayLike<number>;
function layerNorm(x: Float64Array, weight: Numbers, bias: Numbers, hidden: number, eps: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += hidden) {
    const values = x.subarray(row, row + hidden);
    const mean = values.reduce((a, b) => a + b) / hidden;
    const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / hidden;
    for (let i = 0; i < hidden; ++i)
      out[row + i] = ((values[i]! - mean) / Math.sqrt(variance + eps)) * weight[i]! + bias[i]!;
  }
  return out;
}

describe("layer_norm_backward", () => {
  it("the reference equals finite differences in float64", () => {
    const [tokens, hidden, eps] = [3, 7, 0.05];
    const x = randomArray(tokens * hidden, 1);
    const [weight, bias] = [randomArray(hidden, 2), randomArray(hidden, 5)];
    const dout = randomArray(tokens * hidden, 3);
    const dx = new Float32Array(x.length);
    const [dweight, dbias] = [new Float32Array(hidden), new Float32Array(hidden)];
    const strides = { ldx: hidden, lddo: hidden, lddx: hidden, ldn: hidden };
    const outputs = { dx, dweight, dbias };
    layerNormBackward({ x, weight, bias, dout, ...outputs, ...strides, tokens, hidden, eps, reference: true });
    const wide = Float64Array.from(x);
    const check = (actual: Float32Array, f: (point: Float64Array) => Float64Array, at: Float32Array): void => {
      expectWithin(
        actual,
        numericGradient((point) => inner(f(point), dout), at),
        "backward/differences",
      );
    };
    check(dx, (point) => layerNorm(point, weight, bias, hidden, eps), x);
    check(dweight, (point) => layerNorm(wide, point, bias, hidden, eps), weight);
    check(dbias, (point) => layerNorm(wide, weight, point, hidden, eps), bias);
  });

  it.each(isas)("%s equals the reference, with any number of threads", (isa) => {
    for (const [tokens, hidden] of rowShapes) {
      const [ldx, lddo, lddx, ldn] = [hidden + 3, hidden + 1, hidden + 2, hidden + 4];
      const call = {
        // A row of one or two values would have a variance near 0 by chance.
        x: unaligned(
          randomArray(tokens * ldx, 1).map((value, i) => value + 2 * (i % 2)),
          1,
        ),
        weight: unaligned(randomArray(hidden, 2), 1),
        bias: unaligned(randomArray(hidden, 6), 1),
        dout: unaligned(randomArray(tokens * lddo, 3), 1),
        ...{ ldx, lddo, lddx, ldn, tokens, hidden, eps: 1e-2 },
      };
      const outputs = () => ({
        dx: freshRows(tokens, lddx).map((value, i) => (i % lddx < hidden ? i % 5 : value)),
        dweight: unaligned(randomArray(hidden, 4), 1),
        dbias: unaligned(randomArray(hidden, 5), 1),
        normed: freshRows(tokens, ldn),
      });
      const expected = outputs();
      layerNormBackward({ ...call, ...expected, reference: true });
      const single = outputs();
      layerNormBackward({ ...call, ...single, isa, threads: 1 });
      const label = `${isa} ${tokens} x ${hidden}`;
      expectWithin(single.dx, expected.dx, "layer_norm_backward/f32", `dx ${label}`);
      expectWithin(single.dweight, expected.dweight, "layer_norm_backward/f32", `dweight ${label}`);
      expectWithin(single.dbias, expected.dbias, "layer_norm_backward/f32", `dbias ${label}`);
      expectWithin(single.normed, expected.normed, "layer_norm/f32", `normed ${label}`);
      for (const threads of [2, 3]) {
        const out = outputs();
        layerNormBackward({ ...call, ...out, isa, threads });
        expect(out).toEqual(single);
      }
    }
  });

  it("refuses wrong arguments by name", () => {
    const rows = () => new Float32Array(8);
    const good = {
      x: rows(),
      weight: rows(),
      dout: rows(),
      dx: rows(),
      ldx: 4,
      lddo: 4,
      lddx: 4,
      tokens: 2,
      hidden: 4,
    };
    layerNormBackward({ ...good, ldn: 4 });
    const failure = failureOf(() => layerNormBackward({ ...good, dout: null }));
    expect(failure).toEqual({
      code: "ERR_ARGUMENT",
      message: "layer_norm_backward: dout: expected a pointer, found nullptr",
    });
  });
});
