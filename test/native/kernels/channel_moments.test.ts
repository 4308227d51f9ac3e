import { binding } from "../../../src/binding.js";
import { compareElements, expectWithin } from "../../compare.js";
import { failureOf, isas, randomArray, unaligned, untouched } from "./row-cases.js";

const channelMoments = binding.testing["channel_moments"]!;

interface Shape {
  groups: number;
  groupRows: number;
  skip: number;
  width: number;
}

/** Nothing, one value, odd and prime widths around the lanes, more channels than a task, more rows than a block. */
const shapes: Shape[] = [
  { groups: 0, groupRows: 4, skip: 0, width: 8 },
  { groups: 1, groupRows: 1, skip: 0, width: 1 },
  { groups: 2, groupRows: 1, skip: 1, width: 5 },
  { groups: 3, groupRows: 7, skip: 1, width: 13 },
  { groups: 2, groupRows: 64, skip: 0, width: 17 },
  { groups: 1, groupRows: 65, skip: 1, width: 67 },
  { groups: 2, groupRows: 130, skip: 1, width: 576 },
  { groups: 5, groupRows: 200, skip: 1, width: 301 },
];

function run(shape: Shape, ldx: number, x: Float32Array, more: object): Float64Array {
  const sums = new Float64Array(shape.groups * 3 * shape.width).fill(untouched);
  channelMoments({ x, ldx, ...shape, sums, ...more });
  return sums;
}

describe("channel_moments", () => {
  it.each(isas)("%s equals the reference, whatever the threads", (isa) => {
    for (const shape of shapes) {
      const ldx = shape.width + 3;
      const x = unaligned(randomArray(shape.groups * shape.groupRows * ldx, 3), 1);
      const expected = run(shape, ldx, x, { reference: true });
      const found = run(shape, ldx, x, { isa, threads: 2 });
      expectWithin(found, expected, "channel_moments/f64", `${isa} ${JSON.stringify(shape)}`);
      expect(run(shape, ldx, x, { isa, threads: 1 })).toEqual(found);
    }
  });

  it("the reference is what its formula says", () => {
    const x = Float32Array.of(1, -2, 3, 4, -5, 6);
    const sums = run({ groups: 1, groupRows: 3, skip: 1, width: 2 }, 2, x, { reference: true });
    expect([...sums]).toEqual([8, 10, -2, 10, 34, 52]);
    expect(() =>
      compareElements(
        sums,
        sums.map((value) => value * 1.001),
        0,
        1e-5,
        "corrupted",
      ),
    ).toThrow(/corrupted/);
  });

  it("refuses what does not fit together", () => {
    const shape = { groups: 1, groupRows: 2, skip: 0, width: 4 };
    expect(failureOf(() => run(shape, 3, new Float32Array(8), { isa: "ref" })).code).toBe("ERR_SHAPE");
    expect(failureOf(() => channelMoments({ ...shape, ldx: 4, isa: "ref" })).code).toBe("ERR_ARGUMENT");
  });
});
