import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { inner, numericGradient } from "./finite-differences.js";
import { failureOf, freshRows, isas, randomArray, rowShapes, unaligned } from "./row-cases.js";

const rmsNormBackward = binding.testing["rms_norm_backward"]!;

function rmsNorm(x: Float64Array, weight: ArrayLike<number>, hidden: number, eps: number): Float64Array {
  const out = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += hidden) {
    let sum = 0;
    for (let i = 0; i < hidden; ++i) sum += x[row + i]! ** 2;
    for (let i = 0; i < hidden; ++i) out[row + i] = (x[row + i]! / Math.sqrt(sum / hidden + eps)) * weight[i]!;
  }
  return out;
}

describe("rms_norm_backward", () => {
  it("the reference equals finite differences in float64", () => {
    const [tokens, hidden, eps] = [3, 7, 0.05];
    const x = randomArray(tokens * hidden, 1);
    const weight = randomArray(hidden, 2);
    const dout = randomArray(tokens * hidden, 3);
    const [dx, dweight] = [new Float32Array(x.length), new Float32Array(hidden)];
    const normed = new Float32Array(x.length);
    const strides = { ldx: hidden, lddo: hidden, lddx: hidden, ldn: hidden };
    rmsNormBackward({ x, weight, dout, dx, dweight, normed, ...strides, tokens, hidden, eps, reference: true });
    const wide = Float64Array.from(x);
    expectWithin(
      dx,
      numericGradient((point) => inner(rmsNorm(point, weight, hidden, eps), dout), x),
      "backward/differences",
    );
    expectWithin(
      dweight,
      numericGradient((point) => inner(rmsNorm(wide, point, hidden, eps), dout), weight),
      "backward/differences",
    );
    expectWithin(normed, rmsNorm(wide, weight, hidden, eps), "rms_norm/f32");
  });

  it.each(isas)("%s equals the reference, with any number of threads", (isa) => {
    for (const [tokens, hidden] of rowShapes) {
      const [ldx, lddo, lddx, ldn] = [hidden + 3, hidden + 1, hidden + 2, hidden + 4];
      const call = {
        x: unaligned(randomArray(tokens * ldx, 1), 1),
        weight: unaligned(randomArray(hidden, 2), 1),
        dout: unaligned(randomArray(tokens * lddo, 3), 1),
        ...{ ldx, lddo, lddx, ldn, tokens, hidden, eps: 1e-5 },
      };
      const outputs = () => ({
        dx: freshRows(tokens, lddx).map((value, i) => (i % lddx < hidden ? i % 5 : value)),
        dweight: unaligned(randomArray(hidden, 4), 1),
        normed: freshRows(tokens, ldn),
      });
      const expected = outputs();
      rmsNormBackward({ ...call, ...expected, reference: true });
      const single = outputs();
      rmsNormBackward({ ...call, ...single, isa, threads: 1 });
      const label = `${isa} ${tokens} x ${hidden}`;
      expectWithin(single.dx, expected.dx, "rms_norm_backward/f32", `dx ${label}`);
      expectWithin(single.dweight, expected.dweight, "rms_norm_backward/f32", `dweight ${label}`);
      expectWithin(single.normed, expected.normed, "rms_norm/f32", `normed ${label}`);
      for (const threads of [2, 3]) {
        const out = outputs();
        rmsNormBackward({ ...call, ...out, isa, threads });
        expect(out).toEqual(single);
      }
    }
  });

  it.each(isas)("%s may write its forward output over dout, and leaves out what is not wanted", (isa) => {
    const [tokens, hidden] = [5, 67];
    const strides = { ldx: hidden, lddo: hidden, lddx: hidden, ldn: hidden };
    const call = {
      x: randomArray(tokens * hidden, 1),
      weight: randomArray(hidden, 2),
      ...strides,
      tokens,
      hidden,
      isa,
    };
    const dout = randomArray(tokens * hidden, 3);
    const [dx, normed] = [new Float32Array(dout.length), new Float32Array(dout.length)];
    rmsNormBackward({ ...call, dout, dx, dweight: new Float32Array(hidden), normed });
    const again = new Float32Array(dout.length);
    const both = dout.slice();
    rmsNormBackward({ ...call, dout: both, dx: again, normed: both });
    expect(again).toEqual(dx);
    expect(both).toEqual(normed);
    const alone = new Float32Array(dout.length);
    rmsNormBackward({ ...call, dout, dx: alone, ldn: 0 });
    expect(alone).toEqual(dx);
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
    rmsNormBackward({ ...good, ldn: 4 });
    for (const [change, code, message] of [
      [{ tokens: -1 }, "ERR_ARGUMENT", "tokens: expected 0 or more, found -1"],
      [{ lddx: 3 }, "ERR_SHAPE", "lddx: expected at least the row width 4, found 3"],
      [{ normed: rows(), ldn: 1 }, "ERR_SHAPE", "ldn: expected at least the row width 4, found 1"],
      [{ dx: null }, "ERR_ARGUMENT", "dx: expected a pointer, found nullptr"],
    ] as const)
      expect(failureOf(() => rmsNormBackward({ ...good, ...change }))).toEqual({
        code,
        message: `rms_norm_backward: ${message}`,
      });
    const isa = isas.at(-1)!;
    if (isa === "ref") return;
    expect(failureOf(() => rmsNormBackward({ ...good, isa, workspaceMissing: 1 })).code).toBe("ERR_WORKSPACE");
  });
});
