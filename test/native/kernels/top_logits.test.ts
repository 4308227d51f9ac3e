/** The teacher's largest logits: found, compared with a student's, and how far that is from comparing all of them. */
import { binding } from "../../../src/binding.js";
import { compareExact, expectWithin } from "../../compare.js";
import { kinds, type LossCall, makeLossCall, runLoss, tailTerm, termOf } from "./logit-loss-cases.js";
import { failureOf, isas, randomArray } from "./row-cases.js";

interface Top {
  ids: Int32Array;
  values: Float32Array;
  logSumExp: Float32Array;
}

interface Rows {
  logits: Float32Array;
  ld: number;
  rows: number;
  vocab: number;
}

function topOf(given: Rows, top: number, options: object = {}): Top {
  const out: Top = {
    ids: new Int32Array(given.rows * top),
    values: new Float32Array(given.rows * top),
    logSumExp: new Float32Array(given.rows),
  };
  binding.testing["top_logits"]!({ ...given, top, ...out, ...options });
  return out;
}

/** [rows, vocabulary, top]: empty, one, all, odd, around the lanes, enough to be spread, a real vocabulary. */
const shapes = [
  [0, 8, 3],
  [1, 1, 1],
  [3, 5, 5],
  [5, 16, 2],
  [4, 17, 16],
  [7, 67, 30],
  [23, 2048, 100],
  [2, 49152, 128],
] as const;

function rowsOf(rows: number, vocab: number): Rows {
  const ld = vocab + 3;
  // few different values: many are equal
  return { logits: randomArray(rows * ld, 5).map((value) => Math.round(value * 400) / 32), ld, rows, vocab };
}

describe("top_logits", () => {
  it.each(isas)("%s equals the reference, whatever the threads", (isa) => {
    for (const [rows, vocab, top] of shapes) {
      const given = rowsOf(rows, vocab);
      const expected = topOf(given, top, { reference: true });
      for (const threads of [1, 3]) {
        const label = `${isa} ${rows} x ${vocab} top ${top}, ${threads} threads`;
        const found = topOf(given, top, { isa, threads });
        compareExact(found.ids, expected.ids, label);
        compareExact(found.values, expected.values, label);
        expectWithin(found.logSumExp, expected.logSumExp, "logit_loss/sum", label);
      }
    }
  });

  it("refuses logits that are not finite, but for minus infinity beyond the largest", () => {
    for (const options of [...isas.map((isa) => ({ isa })), { reference: true }]) {
      const given = rowsOf(2, 40);
      given.logits[43 + 7] = -Infinity;
      expect(topOf(given, 39, options).ids).not.toContain(-1);
      expect(failureOf(() => topOf(given, 40, options)).code).toBe("ERR_NUMERIC");
      for (const bad of [NaN, Infinity]) {
        given.logits[43 + 7] = bad;
        expect(failureOf(() => topOf(given, 3, options)).code).toBe("ERR_NUMERIC");
      }
    }
  });

  it("refuses wrong arguments by name", () => {
    const given = rowsOf(2, 40);
    expect(failureOf(() => topOf(given, 41)).message).toBe("top_logits: top: expected at most 40, found 41");
    expect(failureOf(() => topOf({ ...given, ld: 39 }, 4)).message).toMatch(/^top_logits: ld: /);
    expect(failureOf(() => topOf(given, 4, { workspaceShort: 1 })).code).toBe("ERR_WORKSPACE");
  });
});

/** The call with the teacher's `top` largest logits in its place. */
function cached(call: LossCall, top: number): Record<string, unknown> {
  const { ldTeacher: ld, rows, vocab } = call;
  const { ids, values, logSumExp } = topOf({ logits: call.teacher!, ld, rows, vocab }, top);
  return { ...call, teacher: null, topIds: ids, topValues: values, topLogSumExp: logSumExp, teacherTop: top };
}

const comparing = kinds.slice(1);

describe("logit_loss over a teacher's largest logits", () => {
  const terms = comparing.map((kind, i) => termOf(kind, { weight: 0.2 + 0.1 * i, temperature: 0.5 + i, topK: 9 }));

  it.each([...isas, "reference"] as const)("%s equals that of the whole teacher's top k", (isa) => {
    const options = isa === "reference" ? { reference: true } : { isa };
    for (const rows of [1, 6, 23]) {
      const call = makeLossCall(rows, 300, [termOf("cross_entropy"), ...terms]);
      const expected = runLoss(call, options);
      for (const top of [9, 40, 300]) {
        const found = runLoss(cached(call, top) as unknown as LossCall, options);
        expectWithin(found.sums, expected.sums, "logit_loss/sum", `${rows} rows, ${top} cached`);
        expectWithin(found.logits, expected.logits, "logit_loss/gradient", `${rows} rows, ${top} cached`);
      }
    }
  });

  it.each(isas)("%s equals the whole comparison when all logits are there", (isa) => {
    const whole = makeLossCall(
      6,
      67,
      comparing.map((kind) => termOf(kind, { temperature: 1.5 })),
    );
    const top = { ...whole, terms: whole.terms.map((term) => ({ ...term, topK: 67 })) };
    const [expected, found] = [runLoss(whole, { isa }), runLoss(cached(top, 67) as unknown as LossCall, { isa })];
    expectWithin(found.sums, expected.sums, "logit_loss/sum", isa);
    expectWithin(found.logits, expected.logits, "logit_loss/gradient", isa);
  });

  it("the comparison rejects one corrupted logit", () => {
    const call = makeLossCall(3, 67, [termOf("kl", { topK: 9 })]);
    const corrupt = cached(call, 9);
    (corrupt["topValues"] as Float32Array)[10]! += 0.05;
    const [expected, found] = [runLoss(call), runLoss(corrupt as unknown as LossCall)];
    expect(() => expectWithin(found.sums, expected.sums, "logit_loss/sum")).toThrow();
    expect(() => expectWithin(found.logits, expected.logits, "logit_loss/gradient")).toThrow();
  });

  it("refuses more than there is, a correction, and ids outside the vocabulary", () => {
    const call = cached(makeLossCall(2, 40, [termOf("kl", { topK: 5 })]), 8);
    const refused = (change: object): string => failureOf(() => runLoss({ ...call, ...change } as never)).message;
    expect(refused({ terms: [termOf("kl", { topK: 9 })] })).toBe(
      "logit_loss: terms.top_k: expected at most 8, found 9",
    );
    expect(refused({ terms: [termOf("kl", { topK: 0 })] })).toBe(
      "logit_loss: terms.top_k: expected 1 or more, found 0",
    );
    expect(refused({ correctionThreshold: 0.2 })).toMatch(/terms\[0\]\.correction: expected none without all logits/);
    expect(refused({ topIds: Int32Array.from({ length: 16 }, (_, i) => (i === 11 ? 40 : i)) })).toBe(
      "logit_loss: top_ids[11]: expected 0 to 39, found 40",
    );
    expect(refused({ topIds: null })).toBe("logit_loss: top_ids: expected a pointer, found nullptr");
  });
});

describe("logit_loss over the largest logits and the rest", () => {
  it.each(isas)("%s equals the reference, alone and among others", (isa) => {
    for (const [rows, vocab, top] of [
      [1, 1, 1],
      [3, 5, 2],
      [7, 67, 66],
      [9, 300, 20],
      [1, 49152, 128],
    ] as const)
      for (const terms of [
        [tailTerm(top, { weight: 0.7, temperature: 1.5 })],
        [
          tailTerm(top),
          termOf("cross_entropy", { weight: 0.3 }),
          tailTerm(1, { weight: 2 }),
          termOf("kl", { topK: top }),
        ],
        [termOf("cross_entropy"), tailTerm(top, { weight: 0 })],
      ]) {
        const call = makeLossCall(rows, vocab, terms);
        const expected = runLoss(call, { reference: true });
        for (const threads of [1, 3]) {
          const found = runLoss(call, { isa, threads });
          const label = `${isa} ${rows} x ${vocab} top ${top}, ${threads} threads`;
          expectWithin(found.sums, expected.sums, "logit_loss/sum", label);
          expectWithin(found.logits, expected.logits, vocab === 1 ? "logit_loss/sum" : "logit_loss/gradient", label);
        }
      }
  });

  it.each([...isas, "reference"] as const)("%s gives the same of cached logits", (isa) => {
    const options = isa === "reference" ? { reference: true } : { isa };
    const call = makeLossCall(6, 300, [tailTerm(20, { weight: 0.6 })]);
    const expected = runLoss(call, options);
    for (const top of [20, 50]) {
      const found = runLoss(cached(call, top) as unknown as LossCall, options);
      expectWithin(found.sums, expected.sums, "logit_loss/cached-tail", isa);
      expectWithin(found.logits, expected.logits, "logit_loss/gradient", isa);
    }
  });

  it("reference gradients equal central differences", () => {
    const call = makeLossCall(1, 9, [tailTerm(3, { weight: 2, temperature: 1.25 })]);
    const { logits: gradient } = runLoss(call, { reference: true });
    const sumAt = (place: number, value: number): number => {
      const moved = call.logits.slice();
      moved[place] = value;
      return runLoss({ ...call, logits: moved }, { reference: true, gradient: false }).sums[0]!;
    };
    for (let i = 0; i < 9; ++i) {
      const [above, below] = [Math.fround(call.logits[i]! + 2 ** -10), Math.fround(call.logits[i]! - 2 ** -10)];
      expect(gradient[i]).toBeCloseTo((2 * (sumAt(i, above) - sumAt(i, below))) / (above - below), 4);
    }
  });

  it("stays finite where the student gives the tail nothing", () => {
    for (const options of [...isas.map((isa) => ({ isa })), { reference: true }]) {
      const call = makeLossCall(4, 50, [tailTerm(3)]);
      const far = { ...call, logits: call.logits.map((value) => value * 1000) };
      const { logits, sums } = runLoss(far, options);
      expect([...logits, ...sums].every(Number.isFinite)).toBe(true);
    }
  });

  it("refuses cached logits at another temperature, or without their sums", () => {
    const call = cached(makeLossCall(2, 40, [tailTerm(5)]), 8);
    const refused = (change: object): string => failureOf(() => runLoss({ ...call, ...change } as never)).message;
    expect(refused({ terms: [tailTerm(5, { temperature: 2 })] })).toBe(
      "logit_loss: terms[0].temperature: expected 1 without all logits, found 2",
    );
    expect(refused({ topLogSumExp: null })).toBe("logit_loss: top_log_sum_exp: expected a pointer, found nullptr");
  });
});

/** log softmax in float64. */
function logSoftmax(row: Float32Array): number[] {
  const largest = Math.max(...row);
  const sum = row.reduce((total, value) => total + Math.exp(value - largest), 0);
  return Array.from(row, (value) => value - largest - Math.log(sum));
}

const divergence = (p: readonly number[], q: readonly number[]): number =>
  p.reduce((sum, mass, i) => sum + (mass === 0 ? 0 : mass * Math.log(mass / q[i]!)), 0);

describe("what leaving out the tail costs", () => {
  // S: the teacher's k largest, m and Q the mass that teacher and student give them. Exactly:
  // KL = m KL_top + (1 - m) KL_tail + m log(m / Q) + (1 - m) log((1 - m) / (1 - Q)), and every part is at least 0.
  it.each([1, 4, 16, 64, 299])("obeys the bound the documents state, for the %d largest of 300", (top) => {
    const rows = 5;
    const call = { ...makeLossCall(rows, 300, []), labels: new Int32Array(rows) };
    const { ids, values, logSumExp } = topOf({ ...call, logits: call.teacher!, ld: call.ldTeacher }, top);
    for (let row = 0; row < rows; ++row) {
      const one = {
        ...call,
        rows: 1,
        labels: new Int32Array(1),
        logits: call.logits.slice(row * call.ld),
        teacher: call.teacher!.slice(row * call.ldTeacher),
      };
      const kl = (topK: number): number =>
        runLoss({ ...one, terms: [termOf("kl", { topK })] }, { reference: true }).sums[0]!;
      const [whole, cut] = [kl(0), kl(top)];
      const withTail = runLoss({ ...one, terms: [tailTerm(top)] }, { reference: true }).sums[0]!;
      const [p, q] = [one.teacher, one.logits].map((x) => logSoftmax(x.slice(0, 300)).map(Math.exp)) as [
        number[],
        number[],
      ];
      const inside = new Set(ids.subarray(row * top, (row + 1) * top));
      const mass = (x: number[]): number => x.reduce((sum, value, i) => sum + (inside.has(i) ? value : 0), 0);
      const [m, Q] = [mass(p), mass(q)];
      // what the cache itself knows
      const known = values.subarray(row * top, (row + 1) * top);
      expect(known.reduce((sum, value) => sum + Math.exp(value - logSumExp[row]!), 0)).toBeCloseTo(m, 5);
      const tail = (x: number[], total: number): number[] => x.flatMap((v, i) => (inside.has(i) ? [] : [v / total]));
      const tailKl = divergence(tail(p, 1 - m), tail(q, 1 - Q));
      const split = divergence([m, 1 - m], [Q, 1 - Q]);
      expect(m * cut + (1 - m) * tailKl + split).toBeCloseTo(whole, 6);
      expect(m * cut + split).toBeCloseTo(withTail, 6);
      expect(withTail).toBeLessThanOrEqual(whole + 1e-9);
      expect(whole - cut).toBeGreaterThanOrEqual(-(1 - m) * cut - 1e-9);
      expect(whole - cut).toBeLessThanOrEqual((1 - m) * tailKl + split + 1e-9);
    }
  });
});
