/**
 * Against lm-evaluation-harness without a model: its requests byte for byte, its metrics to the last digit, and the
 * rouge-score package (test/oracles/lm_eval_tasks.py requests).
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pairsOf } from "../../../../src/evaluate/tasks/choose.js";
import { extractLast, extractMarked } from "../../../../src/evaluate/tasks/extract.js";
import { scoreChoices, summarize } from "../../../../src/evaluate/tasks/metrics.js";
import { makePrompts, type Prompt } from "../../../../src/evaluate/tasks/prompts.js";
import { readTasks } from "../../../../src/evaluate/tasks/read-tasks.js";
import { rouge } from "../../../../src/evaluate/tasks/rouge.js";
import type { GenerateDocument, GenerateTask, Sample } from "../../../../src/evaluate/tasks/types.js";

interface Case {
  task: string;
  shots: number;
  pool: string | null;
  documents: { requests: [string, string][]; logLikelihoods: number[] }[];
  results: Record<string, number>;
}

interface WrittenCase extends Omit<Case, "documents"> {
  documents: { request: [string, string[]]; answer: string; filtered: Record<string, string> }[];
}

const root = join(__dirname, "../../../fixtures/tasks");
const fixture = JSON.parse(readFileSync(join(root, "requests.json"), "utf8")) as {
  cases: (Case | WrittenCase)[];
  rouge: { target: string; answer: string; rouge1: number; rouge2: number; rougeL: number }[];
};
const isWritten = (one: Case | WrittenCase): one is WrittenCase => one.task === "gsm8k";

async function promptsOf({ task, shots, pool }: Case | WrittenCase) {
  const shotsFile = pool === null ? {} : { shotsFile: join(root, pool) };
  const [loaded] = await readTasks([{ task, file: join(root, `${task}.jsonl`), ...shotsFile }]);
  if (loaded === undefined) throw new Error("no task");
  return { task: loaded.task, prompts: makePrompts(loaded as never, { shots }) as Prompt<never>[] };
}

/** The results as the harness names them. */
function results(samples: Sample[], metrics: readonly string[]): Record<string, number | null> {
  return Object.fromEntries(
    Object.entries(summarize(samples, metrics)).flatMap(([name, { value, stderr }]) => {
      const [metric, filter = "none"] = name.split(",") as [string, string?];
      return [
        [`${metric},${filter}`, value],
        [`${metric}_stderr,${filter}`, stderr],
      ];
    }),
  );
}

it.each(fixture.cases.filter((one) => !isWritten(one)) as Case[])(
  "$task, $shots examples of $pool: requests and scores",
  async (expected) => {
    const { task, prompts } = await promptsOf(expected);
    const requests = prompts.map((prompt) =>
      pairsOf(prompt).map(({ context, continuation }) => [context, continuation]),
    );
    expect(requests).toEqual(expected.documents.map((document) => document.requests));
    const samples = prompts.map(({ document }: Prompt<never>, index): Sample => {
      const { logLikelihoods } = expected.documents[index] as Case["documents"][number];
      return { kind: "choice", logLikelihoods, gold: 0, values: scoreChoices(logLikelihoods, document) };
    });
    expect(results(samples, task.metrics)).toEqual(expected.results);
  },
);

it.each(fixture.cases.filter(isWritten))(
  "$task, $shots examples: requests, extraction and scores",
  async (expected) => {
    const { task, prompts } = (await promptsOf(expected)) as {
      task: GenerateTask;
      prompts: Prompt<GenerateDocument>[];
    };
    expect(prompts.map(({ prefix, document }) => [prefix + document.context, task.until])).toEqual(
      expected.documents.map(({ request }) => request),
    );
    const samples = prompts.map(({ document }, index): Sample => {
      const { answer, filtered } = expected.documents[index] as WrittenCase["documents"][number];
      expect({ "strict-match": extractMarked(answer), "flexible-extract": extractLast(answer) }).toEqual(filtered);
      return { kind: "generate", answer, target: document.target, values: task.score(answer, document) };
    });
    expect(results(samples, task.metrics)).toEqual(expected.results);
  },
);

it("a changed request is found", async () => {
  const expected = fixture.cases[1] as Case;
  const { prompts } = await promptsOf({ ...expected, shots: expected.shots + 1 });
  expect(prompts.map((prompt) => pairsOf(prompt))).not.toEqual(expected.documents.map(({ requests }) => requests));
});

it.each(fixture.rouge)("ROUGE of $answer", ({ target, answer, ...expected }) => {
  expect(rouge(target, answer)).toEqual(expected);
});
