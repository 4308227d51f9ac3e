import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";
import { failureOf, isas, randomArray, unaligned } from "./row-cases.js";

const adamw = binding.testing["adamw"]!;
const sumOfSquares = binding.testing["sum_of_squares"]!;

const counts = [0, 1, 7, 8, 15, 16, 17, 67, 577, 32768, 100003];
const options = { learningRate: 0.01, beta1: 0.9, beta2: 0.95, epsilon: 1e-8, weightDecay: 0.1 };

function stateOf(count: number) {
  return {
    weight: unaligned(randomArray(count, 1), 1),
    gradient: unaligned(randomArray(count, 2), 1),
    moment1: unaligned(randomArray(count, 3), 1),
    moment2: unaligned(
      randomArray(count, 4).map((value) => value * value),
      1,
    ),
  };
}

/** Bits, padded to whole pairs of bytes. */
function maskOf(count: number): Uint8Array {
  const noise = randomArray(2 * Math.ceil(count / 16), 5);
  return Uint8Array.from(noise, (value) => (value + 1) * 128);
}

function bitOf(mask: Uint8Array, i: number): number {
  return (mask[i >> 3]! >> (i & 7)) & 1;
}

describe("adamw", () => {
  it("the reference follows the formula", () => {
    const [g, m, v, w] = [0.5 * 3, 0.25, 0.125, 2];
    const state = { gradient: Float32Array.of(3), moment1: Float32Array.of(m), moment2: Float32Array.of(v) };
    const weight = Float32Array.of(w);
    adamw({ ...state, weight, count: 1, gradientScale: 0.5, ...options, step: 2, reference: true });
    const [m2, v2] = [0.9 * m + 0.1 * g, 0.95 * v + 0.05 * g * g];
    const change = m2 / (1 - 0.9 ** 2) / (Math.sqrt(v2 / (1 - 0.95 ** 2)) + 1e-8);
    expectWithin(weight, [w * (1 - 0.01 * 0.1) - 0.01 * change], "adamw/f32");
    expectWithin(state.moment1, [m2], "adamw/f32");
    expectWithin(state.moment2, [v2], "adamw/f32");
    expect(state.gradient[0]).toBe(0);
  });

  it.each(isas)("%s equals the reference, with and without a mask", (isa) => {
    for (const count of counts)
      for (const mask of [null, maskOf(count)])
        for (const step of [1, 1000]) {
          const call = { ...options, count, mask, gradientScale: 0.3, step };
          const [state, expected] = [stateOf(count), stateOf(count)];
          adamw({ ...call, ...expected, reference: true });
          adamw({ ...call, ...state, isa });
          for (const name of ["weight", "gradient", "moment1", "moment2"] as const)
            expectWithin(state[name], expected[name], "adamw/f32", `${name} ${isa} ${count}`);
          if (mask === null) continue;
          const masked = (values: Float32Array) => values.filter((_, i) => bitOf(mask, i) === 0);
          for (const name of ["weight", "moment1", "moment2"] as const)
            expect(masked(state[name]).every((value) => Object.is(value, 0))).toBe(true);
        }
  });

  it("refuses wrong arguments by name", () => {
    const call = { ...stateOf(4), ...options, count: 4, step: 1 };
    adamw(call);
    expect(failureOf(() => adamw({ ...call, step: 0 })).message).toBe("adamw: step: expected 1 or more, found 0");
    expect(failureOf(() => adamw({ ...call, moment2: null })).message).toBe(
      "adamw: moment2: expected a pointer, found nullptr",
    );
  });
});

describe("sum_of_squares", () => {
  it.each(isas)("%s equals the reference, with any number of threads", (isa) => {
    for (const count of counts)
      for (const mask of [null, maskOf(count)]) {
        const x = unaligned(randomArray(count, 1), 1);
        const expected = sumOfSquares({ x, mask, count, reference: true }) as number;
        const single = sumOfSquares({ x, mask, count, isa, threads: 1 }) as number;
        expectWithin([single], [expected], "sum_of_squares/f64", `${isa} ${count}`);
        for (const threads of [2, 3]) expect(sumOfSquares({ x, mask, count, isa, threads })).toBe(single);
      }
  });

  it.each(isas)("%s does not overflow, and shows what is not finite", (isa) => {
    expectWithin([sumOfSquares({ x: Float32Array.of(3e38, 1), count: 2, isa }) as number], [9e76], "adamw/f32");
    for (const bad of [NaN, Infinity, -Infinity])
      for (const place of [0, 5, 16, 40000]) {
        const x = new Float32Array(50000).fill(1);
        x[place] = bad;
        expect(Number.isFinite(sumOfSquares({ x, count: x.length, isa }))).toBe(false);
      }
  });
});
