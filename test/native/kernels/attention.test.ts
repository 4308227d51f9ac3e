import { binding } from "../../../src/binding.js";
import { compareExact, expectWithin } from "../../compare.js";
import {
  append,
  attend,
  type AttentionCall,
  cacheDtypes,
  codeDtypes,
  makeAttention,
  makeCache,
  pageTokens,
  scaleBytes,
  type SequenceShape,
} from "./kv-cases.js";
import { failureOf, isas } from "./row-cases.js";

const headDims = [1, 5, 24, 64, 80, 128, 256];
/** [heads, kvHeads]: one, grouped, SmolLM2's 3, a group beyond one register block, beyond one tile. */
const headCounts = [
  [1, 1],
  [3, 1],
  [9, 3],
  [14, 1],
  [50, 1],
] as const;
/** A batch of different lengths: first token, page ends, decode, prefill, a chunk that continues, several tiles. */
const batch: SequenceShape[] = [
  { qLen: 1, kvLen: 1 },
  { qLen: 1, kvLen: 32 },
  { qLen: 7, kvLen: 33 },
  { qLen: 1, kvLen: 301 },
  { qLen: 50, kvLen: 50 },
  { qLen: 20, kvLen: 150 },
  { qLen: 0, kvLen: 5 },
];

interface Case {
  call: AttentionCall;
  expected: Float32Array[];
  threads: number[];
  label: string;
}

function caseOf(call: AttentionCall, threads: number[], label: string): Case {
  return { call, expected: attend(call, { reference: true }), threads, label };
}

function expectReference({ call, expected, threads, label }: Case, isa: (typeof isas)[number]): void {
  for (const count of threads)
    attend(call, { isa, threads: count }).forEach((out, i) =>
      expectWithin(out, expected[i]!, `attention/${call.dtype}`, `${label} ${isa} ${count} threads, sequence ${i}`),
    );
}

describe("attention", () => {
  it("reference follows the formula for two keys", () => {
    const cache = makeCache(1, 1, 2, "f32");
    append(cache, {
      k: Float32Array.of(1, 0, 0, 1),
      v: Float32Array.of(10, 20, 30, 40),
      pages: Int32Array.of(0),
      position: 0,
    });
    const q = Float32Array.of(5, 5, 2, 1);
    const sequence = { q, out: new Float32Array(4), qLen: 2, kvLen: 2, pages: Int32Array.of(0) };
    const call = { ...cache, sequences: [sequence], heads: 1, ldq: 2, ldo: 2, scale: 0.5, causal: true };
    const p = Math.exp(1) / (Math.exp(1) + Math.exp(0.5));
    const [out] = attend(call, { reference: true });
    expectWithin(out!, [10, 20, 10 * p + 30 * (1 - p), 20 * p + 40 * (1 - p)], "attention/f32");
    const [full] = attend({ ...call, causal: false }, { reference: true });
    expectWithin(full!, [20, 30, out![2]!, out![3]!], "attention/f32", "not causal");
  });

  describe.each(cacheDtypes)("%s cache", (dtype) => {
    const cases: Case[] = [];
    beforeAll(() => {
      for (const headDim of headDims)
        cases.push(caseOf(makeAttention({ heads: 6, kvHeads: 2, headDim, dtype }, batch), [2], `head_dim ${headDim}`));
      for (const [heads, kvHeads] of headCounts)
        for (const causal of [true, false]) {
          const call = makeAttention({ heads, kvHeads, headDim: 16, dtype, causal }, batch);
          cases.push(caseOf(call, [1, 3], `${heads}/${kvHeads} causal ${causal}`));
        }
      const long = [
        { qLen: 1, kvLen: 2500 },
        { qLen: 3, kvLen: 1003 },
      ];
      const call = makeAttention({ heads: 4, kvHeads: 2, headDim: 32, dtype }, long);
      cases.push(caseOf(call, [1, 2, 4], "split contexts"));
    });

    it.each(isas.filter((isa) => isa !== "ref"))("%s equals the reference", (isa) => {
      for (const one of cases) expectReference(one, isa);
    });
  });

  it.each(isas)("%s gives the same bits for the same threads, whatever the timing", (isa) => {
    const call = makeAttention({ heads: 6, kvHeads: 2, headDim: 64, dtype: "f16" }, [
      { qLen: 1, kvLen: 3000 },
      ...batch,
    ]);
    const first = attend(call, { isa, threads: 4 });
    for (let repeat = 0; repeat < 5; ++repeat)
      attend(call, { isa, threads: 4 }).forEach((out, i) => compareExact(out, first[i]!, `repeat ${repeat}`));
  });

  it.each(isas)("%s answers a chunked prefill and a batch like one sequence at a time", (isa) => {
    const shape = { heads: 6, kvHeads: 2, headDim: 64, dtype: "f32" } as const;
    const call = makeAttention(shape, [{ qLen: 70, kvLen: 70 }]);
    const [whole] = attend(call, { isa });
    const sequence = call.sequences[0]!;
    for (const [begin, end] of [
      [0, 33],
      [33, 69],
      [69, 70],
    ] as const) {
      const q = sequence.q.slice(begin * call.ldq, end * call.ldq);
      const out = new Float32Array((end - begin) * call.ldo).fill(777);
      const part = { ...sequence, q, out, qLen: end - begin, kvLen: end };
      const [chunk] = attend({ ...call, sequences: [part] }, { isa });
      expectWithin(chunk!, whole!.slice(begin * call.ldo, end * call.ldo), "attention/f32", `chunk ${begin}`);
    }
  });

  const unwritten = isas.flatMap((isa) => cacheDtypes.map((dtype) => [isa, dtype] as const));
  it.each(unwritten)("%s never uses unwritten slots of a page of %s, and may write over the queries", (isa, dtype) => {
    // makeCache fills what is not written with NaN: 33 keys leave 31 slots (and scales) of NaN behind
    const call = makeAttention({ heads: 2, kvHeads: 1, headDim: 5, dtype }, [{ qLen: 2, kvLen: 33 }]);
    const sequence = call.sequences[0]!;
    const aliased = { ...call, ldo: call.ldq, sequences: [{ ...sequence, out: new Float32Array(sequence.q.length) }] };
    const [expected] = attend(aliased, { isa });
    const shared = sequence.q.slice();
    binding.testing["attention"]!({
      ...call,
      ldo: call.ldq,
      isa,
      sequences: [{ ...sequence, q: shared, out: shared }],
    });
    for (let row = 0; row < 2; ++row) {
      const written = [row * call.ldq, row * call.ldq + 10] as const;
      expect(expected!.slice(...written).every(Number.isFinite)).toBe(true);
      compareExact(shared.slice(...written), expected!.slice(...written), isa);
    }
  });

  it.each(isas)("%s stays finite for scores far apart and far from 0", (isa) => {
    for (const factor of [300, -300]) {
      const call = makeAttention({ heads: 1, kvHeads: 1, headDim: 8, dtype: "f32" }, [{ qLen: 40, kvLen: 400 }]);
      call.scale = factor;
      const expected = attend(call, { reference: true })[0]!;
      const out = attend(call, { isa })[0]!;
      // scores near 1000 have an ulp of 6e-5, so probabilities agree to about 1e-4
      for (let i = 0; i < out.length; ++i) expect(Math.abs(out[i]! - expected[i]!)).toBeLessThan(1e-3);
    }
  });

  describe.each(codeDtypes)("%s codes", (dtype) => {
    // The codes of 1 and -2.
    const [one, minusTwo] = dtype === "int8" ? [1, 0xfe] : [0x38, 0xc0];
    const twoKeys = (): AttentionCall => {
      const cache = makeCache(1, 1, 2, dtype);
      cache.keys.set([one, one], scaleBytes(dtype)); // dim 0 of tokens 0 and 1
      cache.keys.set([minusTwo, one], scaleBytes(dtype) + pageTokens);
      cache.values.set([one, minusTwo, minusTwo, one], scaleBytes(dtype));
      new Float32Array(cache.keys.buffer).set([0.5, 0.25]);
      new Float32Array(cache.values.buffer).set([10, 3]);
      const sequence = {
        q: Float32Array.of(3, 1),
        out: new Float32Array(2),
        qLen: 1,
        kvLen: 2,
        pages: Int32Array.of(0),
      };
      return { ...cache, sequences: [sequence], heads: 1, ldq: 2, ldo: 2, scale: 1, causal: true };
    };

    it.each(isas)("%s follows the formula for two keys, each times its scale", (isa) => {
      const p = 1 / (1 + Math.exp((3 + 1) * 0.25 - (3 - 2) * 0.5));
      const expected = [p * 10 - (1 - p) * 6, -p * 20 + (1 - p) * 3];
      for (const how of [{ isa }, { reference: true }])
        expectWithin(attend(twoKeys(), how)[0]!, expected, `attention/${dtype}`, isa);
    });

    it.each(isas)("%s gives NaN to what sees a row that is not finite, and to nothing else", (isa) => {
      for (const name of ["keys", "values"] as const) {
        const call = twoKeys();
        new Float32Array(call[name].buffer)[1] = NaN;
        const first = { ...call.sequences[0]!, kvLen: 1 };
        const [before, after] = attend({ ...call, sequences: [first, call.sequences[0]!] }, { isa });
        expect(Array.from(before!)).toEqual([10, -20]);
        expect(after!.every(Number.isNaN)).toBe(true);
      }
    });

    it.each(isas.filter((isa) => isa !== "ref"))("%s: the comparison rejects a corrupted code and scale", (isa) => {
      const call = makeAttention({ heads: 6, kvHeads: 2, headDim: 64, dtype }, [{ qLen: 3, kvLen: 70 }]);
      const [expected] = attend(call, { reference: true });
      for (const [name, place] of [
        ["keys", 4 * 9 + 2], // the scale of token 9, high in its mantissa
        ["keys", scaleBytes(dtype) + 77],
        ["values", scaleBytes(dtype) + 77],
      ] as const) {
        const corrupted = { ...call, [name]: call[name].slice() };
        corrupted[name][2 * call.pageStride + place]! ^= 0x40; // tokens 0 to 31 lie in the last page
        const [found] = attend(corrupted, { isa });
        expect(() => expectWithin(found!, expected!, `attention/${dtype}`)).toThrow("normalised mean square error");
      }
    });
  });

  it("refuses wrong arguments by name", () => {
    const good = makeAttention({ heads: 4, kvHeads: 2, headDim: 4, dtype: "f32" }, [{ qLen: 2, kvLen: 40 }]);
    const attention = binding.testing["attention"]!;
    attention({ ...good });
    const sequence = (change: object) => ({ sequences: [{ ...good.sequences[0]!, ...change }] });
    for (const [change, code, message] of [
      [{ dtype: "i8" }, "ERR_ARGUMENT", "attention: cache.dtype: expected f32, f16, bf16, int8 or fp8, found 99"],
      [{ heads: 5, ldq: 20, ldo: 20 }, "ERR_SHAPE", "attention: heads: expected a multiple of 2, found 5"],
      [{ heads: 0 }, "ERR_ARGUMENT", "attention: heads: expected 1 or more, found 0"],
      [{ ldq: 15 }, "ERR_SHAPE", "attention: ldq: expected at least the row width 16, found 15"],
      [{ ldo: 15 }, "ERR_SHAPE", "attention: ldo: expected at least the row width 16, found 15"],
      [{ count: -1 }, "ERR_ARGUMENT", "attention: count: expected 0 or more, found -1"],
      [sequence({ kvLen: 1 }), "ERR_SHAPE", "attention: sequence.q_len: expected at most 1, found 2"],
      [sequence({ q: null }), "ERR_ARGUMENT", "attention: sequence.q: expected a pointer, found nullptr"],
      [sequence({ pages: null }), "ERR_ARGUMENT", "attention: sequence.pages: expected a pointer, found nullptr"],
      [
        sequence({ pages: Int32Array.of(0, -3) }),
        "ERR_ARGUMENT",
        "attention: sequence.pages[1]: expected 0 to 2147483647, found -3",
      ],
      [{ keys: null }, "ERR_ARGUMENT", "attention: cache.k_base: expected a pointer, found nullptr"],
    ] as const)
      expect(failureOf(() => attention({ ...good, ...change }))).toEqual({ code, message });
  });

  it.each(isas.filter((isa) => isa !== "ref"))("%s refuses a workspace that is too small", (isa) => {
    const call = makeAttention({ heads: 1, kvHeads: 1, headDim: 4, dtype: "f32" }, [{ qLen: 1, kvLen: 3 }]);
    const failure = failureOf(() => binding.testing["attention"]!({ ...call, isa, workspaceShort: 1 }));
    expect(failure.code).toBe("ERR_WORKSPACE");
    expect(failure.message).toMatch(/^attention: workspace: expected \d+ bytes, found \d+$/);
  });

  it("takes an empty batch and empty sequences", () => {
    const call = makeAttention({ heads: 1, kvHeads: 1, headDim: 4, dtype: "f32" }, []);
    for (const isa of isas) expect(attend(call, { isa })).toEqual([]);
  });
});
