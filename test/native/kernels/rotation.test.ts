import { binding } from "../../../src/binding.js";
import { expectWithin } from "../../compare.js";

const rotation = binding.testing["rotation"] as (options: Record<string, unknown>) => void;

function run(x: Float32Array, width: number, options: { inverse?: boolean; reference?: boolean } = {}): Float32Array {
  const out = new Float32Array(x.length);
  rotation({ x, out, tokens: x.length / width, width, ...options });
  return out;
}

function noise(count: number): Float32Array {
  let state = 17;
  return Float32Array.from({ length: count }, () => {
    state = (state * 1103515245 + 12345) % 2147483648;
    return state / 1073741824 - 1;
  });
}

describe("rotation", () => {
  // powers of two, odd, both (SmolLM2's 576 = 64 x 9), and one
  it.each([1, 2, 3, 8, 12, 37, 64, 96, 576])("width %i equals the definition and is undone by its inverse", (width) => {
    const x = noise(7 * width);
    for (const inverse of [false, true])
      expectWithin(
        run(x, width, { inverse }),
        run(x, width, { inverse, reference: true }),
        "rotation/f32",
        `inverse ${inverse}`,
      );
    expectWithin(run(run(x, width), width, { inverse: true }), x, "rotation/f32", "round trip");
  });

  it("keeps the length of a row and spreads an outlier", () => {
    const x = new Float32Array(576);
    x[247] = 100;
    const rotated = run(x, 576);
    expect(Math.hypot(...rotated)).toBeCloseTo(100, 3);
    expect(Math.max(...rotated.map(Math.abs))).toBeLessThan(8);
  });
});
