import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { failureOf, freshRows, isas, randomArray, rowShapes, unaligned } from "./row-cases.js";

const biasRows = binding.testing["bias_rows"]!;
const biasBackward = binding.testing["bias_backward"]!;

describe("bias_rows", () => {
  it.each(isas)("%s adds exactly what the reference adds", (isa) => {
    for (const [tokens, width] of rowShapes) {
      const [ldx, ldo] = [width + 3, width + 1];
      const call = { ldx, ldo, tokens, width };
      const inputs = [
        { x: unaligned(randomArray(tokens * ldx, 1), 1), bias: unaligned(randomArray(width, 2), 1) },
        { x: randomArray(tokens * ldx, 1) },
        { bias: randomArray(width, 2) },
        {},
      ];
      for (const input of inputs) {
        const [out, expected] = [freshRows(tokens, ldo), freshRows(tokens, ldo)];
        biasRows({ ...call, ...input, out: expected, reference: true });
        biasRows({ ...call, ...input, out, isa });
        expect(out).toEqual(expected);
      }
    }
  });

  it("x + bias, in place", () => {
    const x = Float32Array.of(1, 2, 3, 4);
    biasRows({ x, ldx: 2, bias: Float32Array.of(10, 20), out: x, ldo: 2, tokens: 2, width: 2 });
    expect([...x]).toEqual([11, 22, 13, 24]);
  });
});

describe("bias_backward", () => {
  it("the reference adds the columns", () => {
    const dbias = Float32Array.of(100, 200);
    biasBackward({ dout: Float32Array.of(1, 2, 9, 3, 4, 9), lddo: 3, dbias, tokens: 2, width: 2, reference: true });
    expect([...dbias]).toEqual([104, 206]);
  });

  it.each(isas)("%s equals the reference, with any number of threads", (isa) => {
    for (const [tokens, width] of [...rowShapes, [1030, 65], [700, 576]] as const) {
      const lddo = width + 3;
      const call = { dout: unaligned(randomArray(tokens * lddo, 1), 1), lddo, tokens, width };
      const expected = randomArray(width, 2);
      biasBackward({ ...call, dbias: expected, reference: true });
      const single = randomArray(width, 2);
      biasBackward({ ...call, dbias: single, isa, threads: 1 });
      expectWithin(single, expected, "bias_backward/f32", `${isa} ${tokens} x ${width}`);
      for (const threads of [2, 3]) {
        const dbias = unaligned(randomArray(width, 2), 1);
        biasBackward({ ...call, dbias, isa, threads });
        expect([...dbias]).toEqual([...single]);
      }
    }
  });

  it("refuses wrong arguments by name", () => {
    const good = { dout: new Float32Array(8), lddo: 4, dbias: new Float32Array(4), tokens: 2, width: 4 };
    biasBackward(good);
    expect(failureOf(() => biasBackward({ ...good, lddo: 3 }))).toEqual({
      code: "ERR_SHAPE",
      message: "bias_backward: lddo: expected at least the row width 4, found 3",
    });
    expect(failureOf(() => biasRows({ ...good, ldo: 4 })).message).toBe(
      "bias_rows: out: expected a pointer, found nullptr",
    );
  });
});
