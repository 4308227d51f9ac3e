import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { evaluateTasks, readTasks, recoveryOf, type TaskFile } from "../../../../src/evaluate/index.js";
import type { TaskEngine } from "../../../../src/evaluate/tasks/evaluate-tasks.js";
import { loadTiny, someIds } from "../../engine/fixtures.js";
import { temporaryDirectory } from "../../../temporary.js";

const folder = temporaryDirectory();

function file(name: string, ...lines: (object | string)[]): string {
  const path = join(folder, name);
  writeFileSync(path, lines.map((line) => `${typeof line === "string" ? line : JSON.stringify(line)}\n`).join(""));
  return path;
}

const arc = (answerKey: string, text = ["ab", "c"]) => ({
  question: "Q",
  choices: { text, label: ["A", "B"] },
  answerKey,
});

async function errorOf(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  return promise.then(
    () => ({ code: "none", message: "" }),
    (error: { code: string; message: string }) => error,
  );
}

const firstLetter = { bosTokenId: null, eosTokenIds: [0] };

/** A token for each character; an answer is the likelier the fewer tokens it has. Answers "#### 7" to everything. */
function fakeEngine(overrides: Partial<TaskEngine> = {}): TaskEngine & { asked: number; most: number } {
  const engine = {
    directory: "fake",
    contextTokens: 64,
    asked: 0,
    open: 0,
    most: 0,
    tokenizer: {
      ...firstLetter,
      encodeBatch: (texts: readonly string[]) =>
        Promise.resolve(texts.map((text) => Int32Array.from(text, (letter) => letter.charCodeAt(0)))),
    },
    async scoreContinuations(_context: ArrayLike<number>, continuations: readonly ArrayLike<number>[]) {
      engine.asked += 1;
      engine.most = Math.max(engine.most, (engine.open += 1));
      await new Promise((resolve) => setImmediate(resolve));
      engine.open -= 1;
      return continuations.map(({ length }) => new Float64Array(length).fill(-1));
    },
    generate: () => ({ result: () => Promise.resolve({ text: " so\n#### 7" }) }),
    ...overrides,
  };
  return engine;
}

describe("readTasks", () => {
  const read = (...files: TaskFile[]) => errorOf(readTasks(files));

  it.each([
    { what: "an unknown task", name: "arc", lines: [arc("A")], code: "ERR_TASK_UNKNOWN", says: /arc_challenge.*"arc"/ },
    { what: "an empty file", name: "arc_easy", lines: [], code: "ERR_TASK_EMPTY", says: /expected at least one/ },
    { what: "no JSON", name: "arc_easy", lines: [arc("A"), "{"], code: "ERR_JSON", says: /:2: / },
    { what: "a list", name: "arc_easy", lines: ["[1]"], code: "ERR_TASK_FIELD", says: /:1: expected a JSON object/ },
    {
      what: "a missing field",
      name: "arc_easy",
      lines: [arc("A"), { choices: { text: ["a"], label: ["A"] }, answerKey: "A" }],
      code: "ERR_TASK_FIELD",
      says: /:2: question: expected a string, found nothing/,
    },
    {
      what: "a field of another kind",
      name: "boolq",
      lines: [{ passage: 3, question: "q", label: 0 }],
      code: "ERR_TASK_FIELD",
      says: /:1: passage: expected a string, found 3/,
    },
    {
      what: "a field within a field",
      name: "arc_easy",
      lines: [{ question: "q", choices: { text: [] }, answerKey: "A" }],
      code: "ERR_TASK_FIELD",
      says: /:1: choices: text: expected a list of strings, found \[\]/,
    },
    {
      what: "no gold",
      name: "arc_easy",
      lines: [arc("C")],
      code: "ERR_TASK_GOLD",
      says: /answerKey: .* A, B, found "C"/,
    },
    {
      what: "a hidden gold",
      name: "piqa",
      lines: [{ goal: "g", sol1: "a", sol2: "b", label: -1 }],
      code: "ERR_TASK_GOLD",
      says: /label: expected a whole number from 0 to 1, found -1/,
    },
    {
      what: "an empty gold",
      name: "winogrande",
      lines: [{ sentence: "a _ b", option1: "x", option2: "y", answer: "" }],
      code: "ERR_TASK_GOLD",
      says: /answer: expected the number of the right answer, found ""/,
    },
    {
      what: "no blank",
      name: "winogrande",
      lines: [{ sentence: "a b", option1: "x", option2: "y", answer: "1" }],
      code: "ERR_TASK_FIELD",
      says: /blank/,
    },
  ])("refuses $what", async ({ name, lines, code, says }) => {
    const error = await read({ task: name, file: file("bad.jsonl", ...(lines as object[])) });
    expect(error).toMatchObject({ code, message: expect.stringMatching(says) as string });
  });

  it("refuses a file that is not there, and a task given twice", async () => {
    expect((await read({ task: "piqa", file: join(folder, "none") })).code).toBe("ERR_FILE_READ");
    const twice = { task: "arc_easy", file: file("twice.jsonl", arc("A")) };
    expect((await read(twice, twice)).code).toBe("ERR_ARGUMENT");
  });
});

describe("evaluateTasks", () => {
  const load = (name: string, ...lines: object[]) => readTasks([{ task: name, file: file(`${name}.jsonl`, ...lines) }]);

  it("scores choices by likelihood, and by likelihood a character", async () => {
    const tasks = await load("arc_easy", arc("B"), arc("A"), arc("B"), arc("B"));
    const steps: number[] = [];
    const report = await evaluateTasks(fakeEngine(), tasks, { onProgress: ({ done }) => steps.push(done) });
    // " c" is two tokens, " ab" three; a character of "ab" costs 3/2, one of "c" 2.
    expect(report.tasks["arc_easy"]).toMatchObject({
      documents: 4,
      truncated: 0,
      metrics: { acc: { value: 0.75, stderr: 0.25 }, acc_norm: { value: 0.25, stderr: 0.25 } },
    });
    expect(steps).toEqual([0, 1, 2, 3, 4]);
  });

  it("asks the answers of a question together and several questions at a time", async () => {
    const tasks = await load("arc_easy", ...Array.from({ length: 100 }, () => arc("A")));
    const engine = fakeEngine({ contextTokens: 1024 });
    await evaluateTasks(engine, tasks, { limit: 60 });
    expect([engine.asked, engine.most]).toEqual([60, 32]);
    const small = fakeEngine({ contextTokens: 48 }); // as many as its cache remembers of 19 tokens each
    await evaluateTasks(small, tasks, { limit: 60 });
    expect([small.asked, small.most]).toEqual([60, 5]);
  });

  it("reads the plain columns as the hub's", async () => {
    const winogrande = { context_options: ["A x", "A yy"], continuation: "ends.", gold: 1 };
    const hub = { sentence: "A _ ends.", option1: "x", option2: "yy", answer: "2" };
    const [plain, columns] = await Promise.all(
      [winogrande, hub].map((line, index) =>
        readTasks([{ task: "winogrande", file: file(`winogrande${index}.jsonl`, line) }]),
      ),
    );
    expect(plain?.[0]?.lines[0]?.document).toEqual(columns?.[0]?.lines[0]?.document);
  });

  it("cuts the beginning of a prompt that is too long, and counts it", async () => {
    const tasks = await load("arc_easy", { ...arc("B"), question: "long ".repeat(40) }, arc("B"));
    const lengths: number[] = [];
    const engine = fakeEngine({
      scoreContinuations: (context, continuations) => {
        for (const { length } of continuations) lengths.push(context.length + length);
        return Promise.resolve(continuations.map(({ length }) => new Float64Array(length)));
      },
    });
    const report = await evaluateTasks(engine, tasks);
    expect(report.tasks["arc_easy"]?.truncated).toBe(2);
    expect(Math.max(...lengths)).toBe(64);
  });

  it("refuses an answer longer than the context, and an answer's room longer than the context", async () => {
    const long = await load("arc_easy", arc("A", ["a".repeat(64), "b"]));
    expect(await errorOf(evaluateTasks(fakeEngine(), long))).toMatchObject({
      code: "ERR_CONTEXT_LENGTH",
      message: expect.stringMatching(/arc_easy\.jsonl:1: answer: expected at most 63 tokens .*, found 65/) as string,
    });
    const gsm8k = await load("gsm8k", { question: "q", answer: "#### 7" });
    expect((await errorOf(evaluateTasks(fakeEngine(), gsm8k, { shots: 0 }))).code).toBe("ERR_CONTEXT_LENGTH");
  });

  it("refuses more examples than there are, and numbers that are none", async () => {
    const tasks = await load("arc_easy", arc("A"), arc("B"));
    expect(await errorOf(evaluateTasks(fakeEngine(), tasks, { shots: 2 }))).toMatchObject({
      code: "ERR_ARGUMENT",
      message: expect.stringMatching(/expected at most 1 .*found 2/) as string,
    });
    expect((await errorOf(evaluateTasks(fakeEngine(), tasks, { limit: 0 }))).code).toBe("ERR_ARGUMENT");
    expect((await errorOf(evaluateTasks(fakeEngine(), tasks, { shots: -1 }))).code).toBe("ERR_ARGUMENT");
    expect((await errorOf(evaluateTasks(fakeEngine({ tokenizer: null }), tasks))).code).toBe("ERR_TOKENIZER_MISSING");
  });

  it("stops when it is told to, and when the engine fails", async () => {
    const tasks = await load("arc_easy", ...Array.from({ length: 100 }, () => arc("A")));
    const controller = new AbortController();
    const engine = fakeEngine();
    const onProgress = ({ done }: { done: number }) => void (done === 3 && controller.abort());
    const stopped = await errorOf(evaluateTasks(engine, tasks, { signal: controller.signal, onProgress }));
    expect(stopped.code).toBe("ERR_ABORTED");
    expect(engine.asked).toBeLessThan(100);
    const scoreContinuations = () => Promise.reject(new Error("broken"));
    expect((await errorOf(evaluateTasks(fakeEngine({ scoreContinuations }), tasks))).message).toBe("broken");
  });

  it("scores generated answers", async () => {
    const tasks = await load("gsm8k", { question: "3+4", answer: "#### 7" }, { question: "3+5", answer: "#### 8" });
    const samples: unknown[] = [];
    const report = await evaluateTasks(fakeEngine({ contextTokens: 512 }), tasks, {
      shots: 1,
      onSample: (_task, _index, sample) => samples.push(sample.kind === "generate" ? sample.answer : null),
    });
    expect(report.tasks["gsm8k"]?.metrics["exact_match,strict-match"]).toEqual({ value: 0.5, stderr: 0.5 });
    expect(samples).toEqual([" so\n#### 7", " so\n#### 7"]);
  });

  it("says how much of another's scores is kept", async () => {
    const [tasks, other] = [await load("arc_easy", arc("B"), arc("A")), await load("arc_easy", arc("B"), arc("B"))];
    const [report, reference] = [await evaluateTasks(fakeEngine(), tasks), await evaluateTasks(fakeEngine(), other)];
    expect(recoveryOf(report, reference)).toEqual({ tasks: { arc_easy: { acc: 50, acc_norm: null } }, mean: 50 });
    expect(recoveryOf(reference, report).tasks).toEqual({ arc_easy: { acc: 200, acc_norm: 0 } });
  });
});

describe("scoreContinuations of a real engine", () => {
  // Pages of the cache hold 32 tokens: the longer contexts are computed once.
  it.each([1, 5, 32, 33, 64, 90])("is what its logits say after %d tokens", async (length) => {
    await using engine = await loadTiny("plain-v4");
    const context = someIds(length, engine.spec.vocabSize);
    const continuations = [[3], [8], [4, 6, 1], [3, 3]];
    const scores = await engine.scoreContinuations(context, continuations);
    for (const [index, continuation] of continuations.entries()) {
      const rows = await engine.logits([...context, ...continuation], { all: true });
      const expected = continuation.map((id, at) => {
        const row = Array.from(rows[context.length - 1 + at] as Float32Array);
        return (row[id] as number) - Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      });
      expect(scores[index]).toHaveLength(continuation.length);
      for (const [at, value] of expected.entries()) expect(scores[index]?.[at]).toBeCloseTo(value, 5);
    }
    await expect(engine.scoreContinuations([], [[1]])).rejects.toMatchObject({ code: "ERR_EMPTY_PROMPT" });
  });
});
