import { readFileSync } from "node:fs";
import { join } from "node:path";
import { binding } from "../../../src/binding.js";
import { compareExact, expectWithin } from "../../compare.js";
import { dense, failureOf, freshRows, isas, randomArray, rowShapes, unaligned } from "./row-cases.js";

/** In the order of HiddenLossKind. */
const kinds = ["mse", "cosine", "squarehead"] as const;

interface HiddenCall {
  student: Float32Array;
  ldStudent: number;
  teacher: Float32Array;
  ldTeacher: number;
  labels: Int32Array | null;
  rows: number;
  width: number;
  kind: number;
  epsilon: number;
  weight: number;
}

function makeCall(rows: number, width: number, kind: number): HiddenCall {
  const [ldStudent, ldTeacher] = [width + 3, width + 1];
  return {
    student: unaligned(randomArray(rows * ldStudent, 1), 1),
    ldStudent,
    teacher: unaligned(randomArray(rows * ldTeacher, 2), 3),
    ldTeacher,
    labels: Int32Array.from({ length: rows }, (_, row) => (row % 5 === 3 ? -100 : row)),
    ...{ rows, width, kind, epsilon: 0.01, weight: 0.6 },
  };
}

/** The loss added to `before`, and the gradient, dense. */
function run(call: HiddenCall, options: Record<string, unknown> = {}): { gradient: Float32Array; sum: Float64Array } {
  const sum = new Float64Array(1);
  const gradient = freshRows(call.rows, call.width + 2);
  binding.testing["hidden_loss"]!({ ...call, gradient, ldGradient: call.width + 2, ...options, sum });
  return { gradient: dense(gradient, call.rows, call.width), sum };
}

describe("hidden_loss", () => {
  describe.each([0, 1, 2])("kind %d", (kind) => {
    it.each(isas)("%s equals the reference, stored and added", (isa) => {
      for (const [rows, width] of rowShapes)
        for (const accumulate of [false, true])
          for (const labels of [null, undefined]) {
            const call = { ...makeCall(rows, width, kind), ...(labels === null && { labels }) };
            const expected = run(call, { reference: true, accumulate });
            for (const threads of [1, 3]) {
              const label = `${kinds[kind]} ${isa} ${rows} x ${width}, ${threads} threads`;
              const actual = run(call, { isa, threads, accumulate });
              expectWithin(actual.gradient, expected.gradient, "hidden_loss/gradient", label);
              expectWithin(actual.sum, expected.sum, "hidden_loss/sum", label);
            }
          }
    });

    it("reference gradients equal central differences", () => {
      const call = makeCall(4, 5, kind);
      const { gradient } = run(call, { reference: true });
      const sumAt = (place: number, value: number): number => {
        const student = call.student.slice();
        student[place] = value;
        return run({ ...call, student }, { reference: true, gradient: null }).sum[0]!;
      };
      for (let row = 0; row < 4; ++row)
        for (let i = 0; i < 5; ++i) {
          const place = row * call.ldStudent + i;
          const [above, below] = [1, -1].map((sign) => Math.fround(call.student[place]! + sign * 2 ** -10));
          const slope = (sumAt(place, above!) - sumAt(place, below!)) / (above! - below!);
          expect(gradient[row * 5 + i]).toBeCloseTo(0.6 * slope, 5);
        }
    });
  });

  const path = join(__dirname, "../../fixtures/train-kernels/hidden_loss.json");
  const { student, teacher, labels, cases, rows, width } = JSON.parse(readFileSync(path, "utf8")) as {
    rows: number;
    width: number;
    student: number[];
    teacher: number[];
    labels: number[];
    cases: { kind: number; epsilon: number; weight: number; sum: number; gradient: number[] }[];
  };
  it.each(isas)("%s equals torch (test/oracles/hidden_loss.py)", (isa) => {
    for (const { gradient, sum, ...rest } of cases) {
      const inputs = { student: Float32Array.from(student), teacher: Float32Array.from(teacher) };
      const call = {
        ...inputs,
        ...rest,
        ldStudent: width,
        ldTeacher: width,
        labels: Int32Array.from(labels),
        rows,
        width,
      };
      const actual = run(call, { isa });
      expectWithin(actual.gradient, gradient, "hidden_loss/gradient", kinds[rest.kind]);
      expectWithin(actual.sum, [sum], "hidden_loss/sum", kinds[rest.kind]);
    }
  });

  it.each(isas)("%s gives the same bits whatever the threads", (isa) => {
    for (const kind of [0, 1, 2]) {
      const call = makeCall(97, 576, kind);
      const [one, three] = [run(call, { isa, threads: 1 }), run(call, { isa, threads: 3 })];
      compareExact(three.gradient, one.gradient, kinds[kind]!);
      compareExact(three.sum, one.sum, kinds[kind]!);
    }
  });

  it.each(isas)("%s gives 0 for nothing to compare with, not NaN", (isa) => {
    const call = makeCall(3, 8, 2);
    const silent = { ...call, teacher: call.teacher.map(() => 0), epsilon: 0 };
    expect([...run(silent, { isa }).sum]).toEqual([0]);
    const cosine = { ...silent, kind: 1, student: call.student.map(() => 0) };
    expect([...run(cosine, { isa }).gradient].every((value) => value === 0)).toBe(true);
  });

  it("the comparison rejects one corrupted value", () => {
    for (const kind of [0, 1, 2]) {
      const call = makeCall(3, 67, kind);
      const expected = run(call, { reference: true });
      call.teacher[5]! += 0.01;
      for (const isa of isas) {
        const actual = run(call, { isa });
        expect(() => expectWithin(actual.gradient, expected.gradient, "hidden_loss/gradient")).toThrow();
        expect(() => expectWithin(actual.sum, expected.sum, "hidden_loss/sum")).toThrow();
      }
    }
  });

  it("refuses wrong arguments by name", () => {
    const call = makeCall(2, 5, 2);
    const refused = (change: Record<string, unknown>): string => failureOf(() => run(call, change)).message;
    expect(refused({ kind: 3 })).toBe("hidden_loss: kind[0]: expected 0 to 2, found 3");
    expect(refused({ ldGradient: 4 })).toBe("hidden_loss: ld_gradient: expected at least the row width 5, found 4");
    expect(refused({ teacher: null })).toBe("hidden_loss: teacher: expected a pointer, found nullptr");
    expect(refused({ epsilon: -1 })).toBe("hidden_loss: epsilon: expected 0 or more, found -1");
    for (const isa of isas.slice(1))
      expect(failureOf(() => run(call, { isa, workspaceShort: 1 })).code).toBe("ERR_WORKSPACE");
  });
});
