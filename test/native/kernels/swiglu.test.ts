import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { failureOf, freshRows, isas, randomArray, rowShapes, unaligned } from "./row-cases.js";

const swiglu = binding.testing["swiglu"]!;

describe("swiglu", () => {
  it("reference follows the formula", () => {
    const out = new Float32Array(3);
    const gate = Float32Array.of(0, 1, -20);
    swiglu({ gate, up: Float32Array.of(5, 2, 3), out, ldIn: 3, ldOut: 3, tokens: 1, width: 3, reference: true });
    expectWithin(out, [0, 2 / (1 + Math.exp(-1)), (-20 / (1 + Math.exp(20))) * 3], "swiglu/f32");
  });

  it.each(isas)("%s equals the reference", (isa) => {
    for (const [tokens, width] of rowShapes) {
      const [ldIn, ldOut] = [width + 2, width + 5];
      const gate = unaligned(
        randomArray(tokens * ldIn, 1).map((value) => value * 30),
        1,
      );
      const call = { gate, up: unaligned(randomArray(tokens * ldIn, 2), 1), ldIn, ldOut, tokens, width };
      const expected = freshRows(tokens, ldOut);
      swiglu({ ...call, out: expected, reference: true });
      for (const threads of [1, 2, 3]) {
        const out = freshRows(tokens, ldOut);
        swiglu({ ...call, out, isa, threads });
        expectWithin(out, expected, "swiglu/f32", `${isa} ${tokens} x ${width}`);
      }
    }
  });

  it.each(isas)("%s may write over gate or up, and takes extreme gates", (isa) => {
    const gate = Float32Array.of(-1000, -90, -88, -1, 0, 1, 88, 90, 1000, 3e38, NaN);
    const up = new Float32Array(gate.length).fill(2);
    const call = { ldIn: gate.length, ldOut: gate.length, tokens: 1, width: gate.length };
    const expected = new Float32Array(gate.length);
    swiglu({ ...call, gate, up, out: expected, reference: true });
    for (const target of [gate.slice(), up.slice()]) {
      const inGate = target[0] === -1000;
      swiglu({ ...call, gate: inGate ? target : gate, up: inGate ? up : target, out: target, isa });
      expectWithin(target.map(Math.fround), expected.map(Math.fround), "swiglu/f32", isa);
    }
  });

  it("refuses wrong arguments by name", () => {
    const good = {
      gate: new Float32Array(8),
      up: new Float32Array(8),
      out: new Float32Array(8),
      ldIn: 4,
      ldOut: 4,
      tokens: 2,
      width: 4,
    };
    swiglu(good);
    for (const [change, code, message] of [
      [{ width: -4 }, "ERR_ARGUMENT", "swiglu: width: expected 0 or more, found -4"],
      [{ ldIn: 3 }, "ERR_SHAPE", "swiglu: ld_in: expected at least the row width 4, found 3"],
      [{ ldOut: 3 }, "ERR_SHAPE", "swiglu: ld_out: expected at least the row width 4, found 3"],
      [{ up: null }, "ERR_ARGUMENT", "swiglu: up: expected a pointer, found nullptr"],
    ] as const)
      expect(failureOf(() => swiglu({ ...good, ...change }))).toEqual({ code, message });
  });
});
