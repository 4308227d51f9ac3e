import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { failureOf, isas, randomArray, unaligned } from "./row-cases.js";

const rope = binding.testing["rope"]!;

/** cos and sin of position * 10000^(-i / half), [rows, half]. */
function tables(rows: number, half: number): { cos: Float32Array; sin: Float32Array } {
  const angle = (index: number) => Math.floor(index / half) * 10000 ** (-(index % half) / half);
  const fill = (fn: (angle: number) => number) => Float32Array.from({ length: rows * half }, (_, i) => fn(angle(i)));
  return { cos: fill(Math.cos), sin: fill(Math.sin) };
}

/** [tokens, heads, headDim, half]: full and partial rotation, lane tails, SmolLM2's shape, enough to be spread. */
const shapes = [
  [0, 2, 8, 4],
  [1, 1, 2, 1],
  [3, 2, 5, 2],
  [2, 3, 24, 12],
  [1, 2, 80, 16],
  [5, 9, 64, 32],
  [2, 1, 66, 33],
  [2, 2, 6, 0],
  [101, 12, 64, 32],
] as const;

describe.each([false, true])("rope, interleaved %s", (interleaved) => {
  it("reference turns a pair by its angle", () => {
    const x = Float32Array.of(1, 0, 0, 1);
    const [cos, sin] = [Float32Array.of(0, 0), Float32Array.of(1, 1)];
    rope({
      x,
      ldx: 4,
      tokens: 1,
      heads: 1,
      headDim: 4,
      half: 2,
      positions: Int32Array.of(0),
      cos,
      sin,
      tableRows: 1,
      interleaved,
      reference: true,
    });
    expect([...x].map((value) => value + 0)).toEqual(interleaved ? [0, 1, -1, 0] : [0, -1, 1, 0]);
  });

  it.each(isas)("%s equals the reference", (isa) => {
    for (const [tokens, heads, headDim, half] of shapes) {
      const ldx = heads * headDim + 3;
      const source = unaligned(randomArray(tokens * ldx, 1), 1);
      const positions = Int32Array.from({ length: tokens }, (_, i) => (i * 7) % 50);
      const call = { ldx, tokens, heads, headDim, half, positions, ...tables(50, half), tableRows: 50, interleaved };
      const expected = source.slice();
      rope({ ...call, x: expected, reference: true });
      for (const threads of [1, 2, 3]) {
        const x = unaligned(source, 1);
        rope({ ...call, x, isa, threads });
        expectWithin(x, expected, "rope/f32", `${isa} ${tokens} x ${heads} x ${headDim} half ${half}`);
      }
    }
  });

  it.each(isas)("%s with -sin is the transpose, which the backward pass needs", (isa) => {
    const [tokens, heads, headDim, half] = [3, 2, 12, 4];
    const width = heads * headDim;
    const { cos, sin } = tables(50, half);
    const call = { ldx: width, tokens, heads, headDim, half, positions: Int32Array.of(3, 0, 41), tableRows: 50 };
    const [x, dout] = [randomArray(tokens * width, 1), randomArray(tokens * width, 2)];
    // A magnitude, as yarn has.
    const scaled = cos.map((value) => 1.3 * value);
    const [turned, dx] = [x.slice(), dout.slice()];
    rope({ ...call, x: turned, cos: scaled, sin: sin.map((value) => 1.3 * value), interleaved, isa });
    rope({ ...call, x: dx, cos: scaled, sin: sin.map((value) => -1.3 * value), interleaved, isa });
    const sum = (a: Float32Array, b: Float32Array) => a.reduce((total, value, i) => total + value * b[i]!, 0);
    expect(sum(turned, dout)).toBeCloseTo(sum(x, dx), 5);
  });

  it("leaves what partial rotation does not cover", () => {
    for (const isa of isas) {
      const source = randomArray(80, 9);
      const x = source.slice();
      rope({
        x,
        ldx: 80,
        tokens: 1,
        heads: 1,
        headDim: 80,
        half: 10,
        positions: Int32Array.of(3),
        ...tables(4, 10),
        tableRows: 4,
        interleaved,
        isa,
      });
      expect(x.subarray(20)).toEqual(source.subarray(20));
      expect(x.subarray(0, 20)).not.toEqual(source.subarray(0, 20));
    }
  });

  it("refuses wrong arguments by name", () => {
    const good = {
      x: new Float32Array(16),
      ldx: 8,
      tokens: 2,
      heads: 2,
      headDim: 4,
      half: 2,
      positions: Int32Array.of(0, 4),
      ...tables(5, 2),
      tableRows: 5,
      interleaved,
    };
    rope(good);
    for (const [change, code, message] of [
      [{ tokens: -1 }, "ERR_ARGUMENT", "rope: tokens: expected 0 or more, found -1"],
      [{ half: 3 }, "ERR_SHAPE", "rope: 2 * half: expected at most 4, found 6"],
      [{ ldx: 7 }, "ERR_SHAPE", "rope: ldx: expected at least the row width 8, found 7"],
      [{ positions: Int32Array.of(0, 5) }, "ERR_ARGUMENT", "rope: positions[1]: expected 0 to 4, found 5"],
      [{ positions: Int32Array.of(-1, 0) }, "ERR_ARGUMENT", "rope: positions[0]: expected 0 to 4, found -1"],
      [{ positions: null }, "ERR_ARGUMENT", "rope: positions: expected a pointer, found nullptr"],
      [{ cos: null }, "ERR_ARGUMENT", "rope: cos: expected a pointer, found nullptr"],
      [{ x: null }, "ERR_ARGUMENT", "rope: x: expected a pointer, found nullptr"],
    ] as const)
      expect(failureOf(() => rope({ ...good, ...change }))).toEqual({ code, message });
  });
});
