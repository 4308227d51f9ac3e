import { readFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { compareExact, expectWithin } from "../../compare.js";
import { kinds, type LossCall, type LossResult, makeLossCall, runLoss, type Term, termOf } from "./logit-loss-cases.js";
import { dense, failureOf, isas } from "./row-cases.js";

/** [rows, vocabulary]: empty, one, odd, around the lanes, prime, enough to be spread, a real vocabulary. */
const shapes = [
  [0, 8],
  [1, 1],
  [3, 5],
  [5, 16],
  [4, 17],
  [7, 67],
  [23, 2048],
  [1, 49152],
] as const;

const mixes: Record<string, Term[]> = {
  ...Object.fromEntries(kinds.map((kind) => [kind, [termOf(kind, { weight: 0.7, temperature: 1.5 })]])),
  "jsd at the ends": [termOf("jsd", { beta: 0 }), termOf("jsd", { beta: 1 }), termOf("jsd", { beta: 0.9 })],
  everything: kinds.map((kind, i) => termOf(kind, { weight: i === 2 ? 0 : 0.3 * i + 0.1, temperature: 0.5 + i })),
  "top-k of everything": kinds.map((kind, i) => termOf(kind, { weight: 1 + i, topK: -1, temperature: 2 })),
  "measured only": [termOf("cross_entropy"), termOf("kl", { weight: 0 })],
};

/** topK -1 stands for a third of the vocabulary. */
function fitTerms(terms: readonly Term[], vocab: number): Term[] {
  return terms.map((term) => ({ ...term, topK: term.topK === -1 ? Math.ceil(vocab / 3) : term.topK! }));
}

function expectResult(actual: LossResult, expected: LossResult, vocab: number, label: string): void {
  // over a vocabulary of one every gradient but that of the mean square is 0
  expectWithin(actual.logits, expected.logits, vocab === 1 ? "logit_loss/sum" : "logit_loss/gradient", label);
  expectWithin(actual.sums, expected.sums, "logit_loss/sum", label);
}

/** runLoss without what lies between the rows. */
function runDense(call: LossCall, options: Record<string, unknown>): LossResult {
  const { logits, sums } = runLoss(call, options);
  return { logits: dense(logits, call.rows, call.vocab), sums };
}

interface Fixture extends Omit<LossCall, "logits" | "teacher" | "labels"> {
  logits: number[];
  teacher: number[];
  labels: number[];
  cases: (Term & { correctionThreshold?: number; sum: number; gradient: number[] })[];
}

describe("logit_loss", () => {
  describe.each(Object.entries(mixes))("%s", (name, terms) => {
    const calls = shapes.map(([rows, vocab]) => makeLossCall(rows, vocab, fitTerms(terms, vocab)));
    for (const call of calls.slice(1, 6)) calls.push({ ...call, correctionThreshold: 0.2 });
    const cases = calls.map((call) => ({ call, expected: runDense(call, { reference: true }) }));

    it.each(isas)("%s equals the reference", (isa) => {
      for (const { call, expected } of cases)
        for (const threads of [1, 3]) {
          const label = `${name} ${isa} ${call.rows} x ${call.vocab}, ${threads} threads`;
          expectResult(runDense(call, { isa, threads }), expected, call.vocab, label);
        }
    });
  });

  const path = join(__dirname, "../../fixtures/train-kernels/logit_loss.json");
  const { logits, teacher, labels, cases, rows, vocab } = JSON.parse(readFileSync(path, "utf8")) as Fixture;
  it.each(isas)("%s equals torch (test/oracles/logit_loss.py)", (isa) => {
    for (const { sum, gradient, correctionThreshold, ...term } of cases) {
      const call: LossCall = {
        logits: Float32Array.from(logits),
        teacher: Float32Array.from(teacher),
        labels: Int32Array.from(labels),
        ...{ ld: vocab, ldTeacher: vocab, rows, vocab, terms: [term] },
        ...(correctionThreshold !== undefined && { correctionThreshold }),
      };
      expectResult(
        runLoss(call, { isa }),
        { logits: Float32Array.from(gradient), sums: Float64Array.of(sum) },
        vocab,
        JSON.stringify(term),
      );
    }
  });

  it("reference gradients equal central differences", () => {
    for (const kind of kinds)
      for (const topK of kind === "cross_entropy" ? [0] : [0, 3])
        for (const correctionThreshold of [undefined, 0.1]) {
          const call: LossCall = {
            ...makeLossCall(1, 7, [termOf(kind, { weight: 2, temperature: 1.25, topK, beta: 0.3 })]),
            ...(correctionThreshold !== undefined && { correctionThreshold }),
          };
          const options = { reference: true };
          const { logits: gradient } = runLoss(call, options);
          const sumAt = (place: number, value: number): number => {
            const moved = call.logits.slice();
            moved[place] = value;
            return runLoss({ ...call, logits: moved }, { ...options, gradient: false }).sums[0]!;
          };
          for (let i = 0; i < 7; ++i) {
            const [above, below] = [Math.fround(call.logits[i]! + 2 ** -12), Math.fround(call.logits[i]! - 2 ** -12)];
            const slope = (2 * (sumAt(i, above) - sumAt(i, below))) / (above - below);
            expect(gradient[i]).toBeCloseTo(slope, 5);
          }
        }
  });

  it.each(isas)("%s without gradient leaves the logits and gives the same sums, added to what was there", (isa) => {
    const call = makeLossCall(
      9,
      67,
      kinds.map((kind) => termOf(kind)),
    );
    const { sums } = runLoss(call, { isa });
    const logits = call.logits.slice();
    const twice = sums.slice();
    binding.testing["logit_loss"]!({ ...call, logits, sums: twice, isa, gradient: false });
    compareExact(logits, call.logits, isa);
    expectWithin(
      twice,
      sums.map((value) => 2 * value),
      "logit_loss/sum",
      isa,
    );
  });

  it.each(isas)("%s gives the same bits whatever the threads, and touches nothing between rows", (isa) => {
    const call = makeLossCall(23, 600, [termOf("cross_entropy"), termOf("kl", { topK: 20 }), termOf("jsd")]);
    const first = runLoss(call, { isa, threads: 1 });
    for (const threads of [2, 5]) {
      const again = runLoss(call, { isa, threads });
      compareExact(again.logits, first.logits, "gradient");
      compareExact(again.sums, first.sums, "sums");
    }
    for (let row = 0; row < 23; ++row)
      compareExact(
        first.logits.slice(row * 603 + 600, row * 603 + 603),
        call.logits.slice(row * 603 + 600, row * 603 + 603),
        "gap",
      );
    expect(first.logits.slice(3 * 603, 3 * 603 + 600).every((value) => value === 0)).toBe(true);
  });

  it.each(isas)("%s stays finite for logits far apart", (isa) => {
    const call = makeLossCall(
      4,
      50,
      kinds.map((kind) => termOf(kind)),
    );
    const far = { ...call, logits: call.logits.map((value) => value * 1000) };
    const { logits, sums } = runLoss(far, { isa });
    expect([...logits, ...sums].every(Number.isFinite)).toBe(true);
    expectWithin(sums, runLoss(far, { reference: true }).sums, "logit_loss/sum", isa);
  });

  it.each(isas)("%s takes the lower index of equal logits, however many there are, and survives NaN", (isa) => {
    const call = makeLossCall(3, 200, [termOf("kl", { topK: 7 }), termOf("reverse_kl", { topK: 20 })]);
    const coarse = { ...call, teacher: call.teacher!.map((value) => Math.round(value / 4)) };
    expectResult(runDense(coarse, { isa }), runDense(coarse, { reference: true }), call.vocab, isa);
    const { sums } = runLoss({ ...call, teacher: call.teacher!.map(() => NaN) }, { isa });
    expect([...sums]).toEqual([NaN, NaN]);
  });

  it("the comparison rejects one corrupted logit", () => {
    const call = makeLossCall(
      3,
      67,
      kinds.map((kind) => termOf(kind)),
    );
    const expected = runDense(call, { reference: true });
    call.teacher![call.ldTeacher + 5]! += 0.05;
    for (const isa of isas) {
      const actual = runDense(call, { isa });
      expect(() => expectWithin(actual.logits, expected.logits, "logit_loss/gradient")).toThrow();
      expect(() => expectWithin(actual.sums, expected.sums, "logit_loss/sum")).toThrow();
    }
  });

  it("refuses wrong arguments by name", () => {
    const call = makeLossCall(2, 5, [termOf("jsd")]);
    const refused = (change: object): string => failureOf(() => runLoss({ ...call, ...change })).message;
    expect(refused({ labels: Int32Array.of(0, 5) })).toBe("logit_loss: labels[1]: expected 0 to 4, found 5");
    expect(refused({ teacher: null })).toBe("logit_loss: teacher: expected a pointer, found nullptr");
    expect(refused({ ld: 4 })).toBe("logit_loss: ld: expected at least the row width 5, found 4");
    expect(refused({ correctionThreshold: 1 })).toBe("logit_loss: terms[0].correction: expected below 1, found 1");
    const refusedTerm = (change: Partial<Term>): string => refused({ terms: [{ ...call.terms[0], ...change }] });
    expect(refusedTerm({ topK: 6 })).toBe("logit_loss: terms.top_k: expected at most 5, found 6");
    expect(refusedTerm({ temperature: 0 })).toBe("logit_loss: terms[0].temperature: expected more than 0, found 0");
    expect(refusedTerm({ beta: 1.5 })).toBe("logit_loss: terms[0].beta: expected 0 to 1, found 1.5");
    expect(refusedTerm({ kind: 7 })).toBe("logit_loss: terms.kind[0]: expected 0 to 6, found 7");
    expect(refusedTerm({ kind: 6, topK: 0 })).toBe("logit_loss: terms.top_k: expected 1 or more, found 0");
    for (const isa of isas.slice(1))
      expect(failureOf(() => runLoss(call, { isa, workspaceShort: 1 })).code).toBe("ERR_WORKSPACE");
  });
});
