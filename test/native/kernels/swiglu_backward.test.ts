import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { inner, numericGradient } from "./finite-differences.js";
import { failureOf, freshRows, isas, randomArray, rowShapes, unaligned } from "./row-cases.js";

const swigluBackward = binding.testing["swiglu_backward"]!;

function swiglu(gate: ArrayLike<number>, up: ArrayLike<number>): Float64Array {
  return Float64Array.from(gate, (value, i) => (value / (1 + Math.exp(-value))) * up[i]!);
}

describe("swiglu_backward", () => {
  it("the reference equals finite differences in float64", () => {
    const width = 24;
    const gate = randomArray(width, 1).map((value) => 6 * value);
    const [up, dout] = [randomArray(width, 2), randomArray(width, 3)];
    const [dgate, dup, out] = [new Float32Array(width), new Float32Array(width), new Float32Array(width)];
    const size = { ldIn: width, ldOut: width, tokens: 1, width };
    swigluBackward({ gate, up, dout, dgate, dup, out, ...size, reference: true });
    expectWithin(
      dgate,
      numericGradient((point) => inner(swiglu(point, up), dout), gate),
      "backward/differences",
    );
    expectWithin(
      dup,
      numericGradient((point) => inner(swiglu(gate, point), dout), up),
      "backward/differences",
    );
    expectWithin(out, swiglu(gate, up), "swiglu/f32");
  });

  it.each(isas)("%s equals the reference", (isa) => {
    for (const [tokens, width] of rowShapes) {
      const [ldIn, ldOut] = [width + 2, width + 5];
      const gate = unaligned(
        randomArray(tokens * ldIn, 1).map((value) => value * 30),
        1,
      );
      const up = unaligned(randomArray(tokens * ldIn, 2), 1);
      const dout = unaligned(randomArray(tokens * ldOut, 3), 1);
      const call = { gate, up, dout, ldIn, ldOut, tokens, width };
      const fresh = () => ({
        dgate: freshRows(tokens, ldIn),
        dup: freshRows(tokens, ldIn),
        out: freshRows(tokens, ldOut),
      });
      const expected = fresh();
      swigluBackward({ ...call, ...expected, reference: true });
      for (const threads of [1, 2, 3]) {
        const found = fresh();
        swigluBackward({ ...call, ...found, isa, threads });
        for (const name of ["dgate", "dup", "out"] as const)
          expectWithin(found[name], expected[name], "swiglu_backward/f32", `${name} ${isa} ${tokens} x ${width}`);
      }
    }
  });

  it.each(isas)("%s may write over its inputs, and takes extreme gates", (isa) => {
    const gate = Float32Array.of(-3e38, -1000, -90, -88, -1, 0, 1, 88, 90, 1000, 3e38);
    const width = gate.length;
    const [up, dout] = [new Float32Array(width).fill(2), randomArray(width, 3)];
    const size = { ldIn: width, ldOut: width, tokens: 1, width };
    const expected = { dgate: new Float32Array(width), dup: new Float32Array(width), out: new Float32Array(width) };
    swigluBackward({ gate, up, dout, ...expected, ...size, reference: true });
    const [g, u, d] = [gate.slice(), up.slice(), dout.slice()];
    swigluBackward({ gate: g, up: u, dout: d, dgate: g, dup: u, out: d, ...size, isa });
    expectWithin(g, expected.dgate, "swiglu_backward/f32", isa);
    expectWithin(u, expected.dup, "swiglu_backward/f32", isa);
    expectWithin(d, expected.out, "swiglu_backward/f32", isa);
    swigluBackward({ gate, up, dout, dgate: new Float32Array(width), dup: new Float32Array(width), ...size, isa });
  });

  it("refuses wrong arguments by name", () => {
    const row = () => new Float32Array(4);
    const good = {
      gate: row(),
      up: row(),
      dout: row(),
      dgate: row(),
      dup: row(),
      ldIn: 4,
      ldOut: 4,
      tokens: 1,
      width: 4,
    };
    swigluBackward(good);
    for (const [change, code, message] of [
      [{ width: -1 }, "ERR_ARGUMENT", "width: expected 0 or more, found -1"],
      [{ ldIn: 3 }, "ERR_SHAPE", "ld_in: expected at least the row width 4, found 3"],
      [{ dgate: null }, "ERR_ARGUMENT", "dgate: expected a pointer, found nullptr"],
    ] as const)
      expect(failureOf(() => swigluBackward({ ...good, ...change }))).toEqual({
        code,
        message: `swiglu_backward: ${message}`,
      });
  });
});
