/**
 * Task scores of SmolLM2-135M-Instruct against lm-evaluation-harness with the same weights in float32
 * (test/oracles/lm_eval_tasks.py scores). Runs by `npm run test:models`, where the evaluation files are present.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildEngine, Engine, evaluateTasks, pull, readTasks, type Sample } from "../../src/index.js";
import { pairsOf } from "../../src/evaluate/tasks/choose.js";
import { makePrompts } from "../../src/evaluate/tasks/prompts.js";
import type { ChoiceDocument } from "../../src/evaluate/tasks/types.js";
import { findAssets } from "../assets.js";
import { temporaryDirectory } from "../temporary.js";

interface Case {
  task: string;
  shots: number;
  documents: number;
  requestsSha256: string;
  logLikelihoods: number[][];
  results: Record<string, number>;
}

const { cases } = JSON.parse(readFileSync(join(__dirname, "../fixtures/tasks/scores.json"), "utf8")) as {
  cases: Case[];
};
const names = [...new Set(cases.map(({ task }) => task))];
const found = findAssets(...names.map((task) => `evals/${task}.jsonl`));
if (found === null) process.stderr.write("tasks.test.ts: skipped, evals/ is not among the assets\n");
const files = new Map(names.map((task, index) => [task, found?.[index] ?? ""]));

jest.setTimeout(1_200_000);

(found === null ? describe.skip : describe)("scores of SmolLM2-135M-Instruct", () => {
  let engine: Engine;
  beforeAll(async () => {
    const { path } = await pull("smollm2", { onMessage: (message) => process.stderr.write(`${message}\n`) });
    const directory = join(temporaryDirectory(), "f32");
    await buildEngine(path, directory, { weights: "f32" });
    engine = await Engine.load(directory);
  });
  afterAll(() => engine.dispose());

  it.each(cases)("$task with $shots examples are the harness's to the last digit", async (expected) => {
    const { task, shots, documents: limit } = expected;
    const loaded = await readTasks([{ task, file: files.get(task) as string }]);
    const prompts = makePrompts<ChoiceDocument>(loaded[0] as never, { shots, limit });
    const requests = prompts.map((prompt) => pairsOf(prompt).map((pair) => [pair.context, pair.continuation]));
    expect(createHash("sha256").update(JSON.stringify(requests)).digest("hex")).toBe(expected.requestsSha256);

    const samples: Sample[] = [];
    const onSample = (_task: string, _index: number, sample: Sample): void => void samples.push(sample);
    const report = await evaluateTasks(engine, loaded, { shots, limit, onSample });
    const metrics = Object.entries(report.tasks[task]?.metrics ?? {}).flatMap(([name, { value, stderr }]) => [
      [`${name},none`, value],
      [`${name}_stderr,none`, stderr],
    ]);
    expect(Object.fromEntries(metrics)).toEqual(expected.results);
    const errors = samples.flatMap((sample, document) =>
      sample.kind === "choice"
        ? sample.logLikelihoods.map((value, index) =>
            Math.abs(value - (expected.logLikelihoods[document]?.[index] ?? NaN)),
          )
        : [NaN],
    );
    const largest = Math.max(...errors);
    process.stderr.write(`${task}, ${shots} examples: log-likelihoods within ${largest.toExponential(1)}\n`);
    expect(largest).toBeLessThan(2e-3); // sums over up to 60 tokens; float32 over 30 layers
  });
});
