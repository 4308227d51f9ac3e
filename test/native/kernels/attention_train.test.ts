import { binding } from "../../../src/binding.js";
import { compareExact, expectWithin } from "../../compare.js";
import {
  makeInputs,
  runTrain,
  runTrainWide,
  torchCases,
  type TrainResult,
  type TrainShape,
  weightedOutput,
} from "./attention-train-cases.js";
import { failureOf, isas, untouched } from "./row-cases.js";

/** Empty, one token, tails of panels and blocks, groups, odd head sizes, several documents, several blocks of each. */
const shapes: TrainShape[] = [
  { sequences: 0, length: 5, heads: 2, kvHeads: 1, headDim: 8 },
  { sequences: 2, length: 0, heads: 2, kvHeads: 1, headDim: 8 },
  { sequences: 1, length: 1, heads: 1, kvHeads: 1, headDim: 1 },
  { sequences: 2, length: 7, heads: 3, kvHeads: 1, headDim: 5 },
  { sequences: 1, length: 47, heads: 2, kvHeads: 2, headDim: 16 },
  { sequences: 3, length: 49, heads: 4, kvHeads: 2, headDim: 24 },
  { sequences: 1, length: 97, heads: 2, kvHeads: 1, headDim: 67 },
  { sequences: 1, length: 131, heads: 6, kvHeads: 3, headDim: 10, documents: [0, 3, 50, 51, 100] },
  { sequences: 2, length: 200, heads: 2, kvHeads: 1, headDim: 32, documents: [0, 120] },
  { sequences: 1, length: 430, heads: 2, kvHeads: 1, headDim: 8, documents: [0, 20, 395] },
  { sequences: 1, length: 430, heads: 2, kvHeads: 1, headDim: 8 },
  { sequences: 1, length: 240, heads: 1, kvHeads: 1, headDim: 128 },
  { sequences: 1, length: 256, heads: 9, kvHeads: 3, headDim: 64 },
];

const parts = ["out", "lse", "dq", "dk", "dv"] as const;

function expectResult(actual: TrainResult, expected: TrainResult, label: string): void {
  for (const part of parts)
    expectWithin(actual[part], expected[part], part === "lse" ? "attention_train/lse" : "attention_train/f32", label);
}

describe("attention_train", () => {
  describe.each(shapes)("$sequences x $length, $heads / $kvHeads heads of $headDim", (shape) => {
    const inputs = makeInputs(shape);
    const expected = runTrain(inputs, { reference: true });

    it.each(isas)("%s equals the reference, forward and backward", (isa) => {
      // 1 and 2 threads keep kv heads whole in most shapes, 7 splits them
      for (const threads of [1, 2, 7])
        expectResult(runTrain(inputs, { isa, threads }), expected, `${isa} ${threads} threads`);
    });
  });

  it.each(isas)("%s equals torch autograd (test/oracles/attention_train.py)", (isa) => {
    for (const { inputs, expected } of torchCases()) {
      expectResult(runTrain(inputs, { isa }), expected, isa);
    }
  });

  it("reference gradients equal central differences", () => {
    for (const documents of [undefined, [0, 2, 5]]) {
      const inputs = makeInputs({
        sequences: 2,
        length: 7,
        heads: 4,
        kvHeads: 2,
        headDim: 3,
        ...(documents && { documents }),
      });
      const result = runTrain(inputs, { reference: true });
      const at = { q: Float64Array.from(inputs.q), k: Float64Array.from(inputs.k), v: Float64Array.from(inputs.v) };
      for (const [name, ld, width] of [
        ["q", inputs.ldq, 12],
        ["k", inputs.ldk, 6],
        ["v", inputs.ldv, 6],
      ] as const) {
        const gradient = result[`d${name}`];
        const stride = gradient.length / 14;
        for (let row = 0; row < 14; ++row)
          for (let i = 0; i < width; ++i) {
            const place = row * ld + i;
            const value = at[name][place]!;
            const step = 1e-5;
            at[name][place] = value + step;
            const above = weightedOutput(inputs, at.q, at.k, at.v);
            at[name][place] = value - step;
            const below = weightedOutput(inputs, at.q, at.k, at.v);
            at[name][place] = value;
            expect(gradient[row * stride + i]).toBeCloseTo((above - below) / (2 * step), 6);
          }
      }
    }
  });

  it.each(isas)("%s gives the same bits again, and touches nothing between rows", (isa) => {
    const inputs = makeInputs({ sequences: 2, length: 150, heads: 4, kvHeads: 2, headDim: 24 });
    const first = runTrainWide(inputs, { isa, threads: 3 });
    for (let repeat = 0; repeat < 3; ++repeat) {
      const again = runTrainWide(inputs, { isa, threads: 3 });
      for (const part of parts) compareExact(again[part], first[part], part);
    }
    for (const [part, width] of [
      ["out", 96],
      ["dq", 96],
      ["dk", 48],
      ["dv", 48],
    ] as const) {
      const stride = first[part].length / 300;
      first[part].forEach((value, i) => {
        if (i % stride >= width) expect(value).toBe(untouched);
      });
    }
  });

  it.each(isas)("%s never lets a document see another", (isa) => {
    const inputs = makeInputs({ sequences: 1, length: 130, heads: 2, kvHeads: 1, headDim: 16, documents: [0, 100] });
    const before = runTrain(inputs, { isa });
    for (const [values, ld] of [
      [inputs.k, inputs.ldk],
      [inputs.v, inputs.ldv],
    ] as const)
      values.fill(100, 0, 100 * ld);
    const after = runTrain(inputs, { isa });
    for (const part of ["out", "dq", "dk", "dv"] as const) {
      const stride = before[part].length / 130;
      compareExact(after[part].subarray(100 * stride), before[part].subarray(100 * stride), part);
      expect(after[part][50 * stride]).not.toBe(before[part][50 * stride]);
    }
  });

  it("the comparison rejects one corrupted key", () => {
    const inputs = makeInputs({ sequences: 1, length: 64, heads: 2, kvHeads: 1, headDim: 16 });
    const expected = runTrain(inputs, { reference: true });
    inputs.k[3 * inputs.ldk + 2]! += 0.01;
    for (const isa of isas) {
      const actual = runTrain(inputs, { isa });
      for (const part of parts)
        expect(() => expectResult({ ...expected, [part]: actual[part] }, expected, part)).toThrow(part);
    }
  });

  it("refuses wrong arguments by name", () => {
    const inputs = makeInputs({ sequences: 1, length: 3, heads: 4, kvHeads: 2, headDim: 4, documents: [0, 2] });
    const rows = new Float32Array(100);
    const good = { ...inputs, out: rows, lse: rows, dq: rows, dk: rows, dv: rows, ldo: 16, lddq: 16, lddk: 8, lddv: 8 };
    for (const [name, change, code, message] of [
      ["attention_train", { kvHeads: 3 }, "ERR_SHAPE", "attention_train: heads: expected a multiple of 3, found 4"],
      [
        "attention_train",
        { ldo: 15 },
        "ERR_SHAPE",
        "attention_train: ldo: expected at least the row width 16, found 15",
      ],
      [
        "attention_train",
        { documentStarts: Int32Array.of(0, 0, 3) },
        "ERR_ARGUMENT",
        "attention_train: document_starts[2]: expected 0 to 2, found 3",
      ],
      ["attention_train", { lse: null }, "ERR_ARGUMENT", "attention_train: lse: expected a pointer, found nullptr"],
      [
        "attention_backward",
        { lddk: 7 },
        "ERR_SHAPE",
        "attention_backward: lddk: expected at least the row width 8, found 7",
      ],
      ["attention_backward", { dv: null }, "ERR_ARGUMENT", "attention_backward: dv: expected a pointer, found nullptr"],
    ] as const)
      expect(failureOf(() => binding.testing[name]!({ ...good, ...change }))).toEqual({ code, message });
    for (const isa of isas.slice(1))
      for (const name of ["attention_train", "attention_backward"])
        expect(failureOf(() => binding.testing[name]!({ ...good, isa, workspaceShort: 1 })).code).toBe("ERR_WORKSPACE");
  });
});
