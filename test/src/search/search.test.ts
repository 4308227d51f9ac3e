/** The light search: candidates are pruned, distilled and ranked; what a stop or a kill leaves is gone on from. */
import { spawn } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fingerprintOf, openCheckpoint } from "../../../src/checkpoint/index.js";
import { distill } from "../../../src/distill/index.js";
import { EspalierError } from "../../../src/errors.js";
import { prune } from "../../../src/prune/index.js";
import { searchPrune, type SearchOptions, type SearchProgress, type SearchResult } from "../../../src/search/index.js";
import { train, trainingReport } from "../../../src/train/index.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier, main } from "../cli/run.js";
import { valuesOf } from "../prune/fixtures.js";
import { tinyFields, writeTokenData } from "../train/token-data.js";

const root = temporaryDirectory();
const training = { globalBatch: 4, seqLength: 32, split: "80,20,0", limitValBatches: 3 };
let data: string;
let teacher: string;
let whole: SearchResult;

beforeAll(async () => {
  data = await writeTokenData(root);
  const config = { ...tinyFields, num_hidden_layers: 4 };
  const shared = { steps: 60, ...training, saveInterval: 1000, lr: 1e-2 };
  teacher = (await train({ config, data, ...shared, out: join(root, "teacher") })).model;
  whole = await searchPrune(optionsOf("whole"));
});

function optionsOf(name: string, change: Partial<SearchOptions> = {}): SearchOptions {
  const search = { steps: 12, candidates: 3, data, lr: 3e-3, ...training };
  const out = join(root, name);
  return {
    model: teacher,
    importance: "magnitude",
    targetParams: "70%",
    axes: ["ffn", "hidden"],
    search,
    out,
    ...change,
  };
}

/** The same as flags. */
function flagsOf(name: string): string[] {
  const flags = `--importance magnitude --target-params 70% --axes ffn,hidden --search-steps 12 --search-candidates 3
    --search-lr 3e-3 --search-global-batch 4 --search-seq-length 32 --search-split 80,20,0 --search-val-batches 3`;
  return ["prune", teacher, ...flags.split(/\s+/), "--data", data, "--out", join(root, name)];
}

const lossesOf = ({ search }: SearchResult): unknown =>
  search.ranking.map(({ hidden, ffn, loss, distillLoss }) => ({ hidden, ffn, loss, distillLoss }));

it("writes the pruned model of the candidate with the least loss, and the ranking", async () => {
  const { ranking } = whole.search;
  expect(ranking).toHaveLength(3);
  const losses = ranking.map(({ loss }) => loss);
  expect(losses).toEqual([...losses].sort((a, b) => a - b));
  expect(new Set(losses).size).toBe(3);
  const [best] = ranking;
  expect(whole.shape).toMatchObject({ hidden: best!.hidden, ffn: best!.ffn, layers: 4 });
  // its weights are the pruned model's, not the distilled one's
  const { hidden, ffn } = best!;
  await prune({ model: teacher, importance: "magnitude", hidden, ffn, out: join(root, "by-hand") });
  await using found = await openCheckpoint(join(root, "whole"));
  await using expected = await openCheckpoint(join(root, "by-hand"));
  expect(await valuesOf(found)).toEqual(await valuesOf(expected));
  expect(existsSync(join(root, "whole.search"))).toBe(false);
  await using source = await openCheckpoint(teacher);
  const lineage = JSON.parse(readFileSync(join(root, "whole", "espalier.json"), "utf8"));
  expect(lineage).toMatchObject({
    step: "prune",
    search: {
      targetParams: "70%",
      steps: 12,
      teacher: await fingerprintOf(source),
      ranking: [{ loss: losses[0] }, {}, {}],
    },
  });
});

it("ranks by the validation cross-entropy that distill reaches", async () => {
  const [best] = whole.search.ranking;
  const { candidates: _count, steps = 12, ...shared } = optionsOf("").search;
  const out = join(root, "run");
  const student = join(root, "by-hand");
  await distill({ ...shared, loss: "auto", steps, valCheckInterval: steps, teacher, student, out });
  const validation = (await trainingReport([out])).runs[0]!.validation.at(-1)!;
  expect(best).toMatchObject({ loss: validation.crossEntropy, distillLoss: validation.loss });
});

it("goes on after a stop without training again what is known", async () => {
  const stop = new AbortController();
  const onProgress = (event: SearchProgress): void => {
    if (event.kind === "training" && event.index === 1 && event.progress.kind === "step") stop.abort();
  };
  await expect(searchPrune(optionsOf("stopped"), { signal: stop.signal, onProgress })).rejects.toThrow(
    coded("ERR_ABORTED"),
  );
  expect(existsSync(join(root, "stopped"))).toBe(false);
  expect(readdirSync(join(root, "stopped.search")).sort()).toEqual(["1-pruned", "2-pruned", "2-run", "search.json"]);
  // other options are another search: what was found is not lost
  await expect(searchPrune(optionsOf("stopped", { targetParams: "75%" }))).rejects.toThrow(
    coded("ERR_SEARCH_RESUME", "other options"),
  );
  const seen: SearchProgress[] = [];
  const result = await searchPrune(optionsOf("stopped"), { onProgress: (event) => seen.push(event) });
  expect(seen[0]).toMatchObject({ kind: "candidates", done: 1 });
  const indices = seen.flatMap((event) => (event.kind === "training" ? [event.index] : []));
  expect(Math.min(...indices)).toBe(1);
  expect(seen.some((event) => event.kind === "training" && event.progress.kind === "resumed")).toBe(true);
  expect(lossesOf(result)).toEqual(lossesOf(whole));
  expect(existsSync(join(root, "stopped.search"))).toBe(false);
});

it("goes on after a kill, on the command line", async () => {
  const child = spawn(process.execPath, [main, ...flagsOf("killed"), "--json"]);
  const killed = new Promise((resolve) => child.once("close", (_status, signal) => resolve(signal)));
  let stderr = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
    if (stderr.includes("candidate 1 of 3")) child.kill("SIGKILL");
  });
  expect(await killed).toBe("SIGKILL");
  expect(existsSync(join(root, "killed"))).toBe(false);
  const again = await espalier([...flagsOf("killed"), "--json"]);
  expect([again.status, again.stderr]).toEqual([0, expect.stringMatching(/3 candidates, [12] known/)]);
  expect(lossesOf(JSON.parse(again.stdout) as SearchResult)).toEqual(lossesOf(whole));
  const [one, two] = ["killed", "whole"].map((name) => readFileSync(join(root, name, "model.safetensors")));
  expect(one!.equals(two!)).toBe(true);
});

it("is left alone by a second one on the same output", async () => {
  let second: Promise<unknown> | undefined;
  const onProgress = ({ kind }: SearchProgress): void => {
    if (kind === "candidates") second ??= searchPrune(optionsOf("twice")).catch((error: unknown) => error);
  };
  const first = await searchPrune(optionsOf("twice"), { onProgress });
  expect(await second).toEqual(expect.objectContaining({ code: "ERR_RUN_BUSY" }));
  expect(lossesOf(first)).toEqual(lossesOf(whole));
  expect(readdirSync(root).filter((name) => name.includes("twice"))).toEqual(["twice"]);
});

describe("refuses", () => {
  it.each<[string, Partial<SearchOptions>, object, string, string]>([
    [
      "no budget",
      { targetParams: undefined, axes: undefined, ffn: 32 },
      {},
      "ERR_ARGUMENT",
      "targetParams, targetMemory",
    ],
    ["no scores", { importance: undefined }, {}, "ERR_ARGUMENT", "importance"],
    ["no steps", {}, { steps: 0 }, "ERR_ARGUMENT", "search: steps"],
    ["no candidates", {}, { candidates: 0 }, "ERR_ARGUMENT", "search: candidates"],
    ["an unknown option", {}, { rate: 1 }, "ERR_ARGUMENT", "rate"],
    ["data that is not there", {}, { data: "nothing" }, "ERR_DATA", "nothing"],
    ["nothing held out", {}, { split: "100,0,0" }, "ERR_ARGUMENT", "holds out for validation"],
    ["a budget out of reach", { targetParams: "1%" }, {}, "ERR_PRUNE_BUDGET", "within 5 %"],
  ])("%s, and leaves nothing", async (_what, change, more, code, message) => {
    const given = { ...optionsOf("refused"), ...change };
    const error = await searchPrune({ ...given, search: { ...given.search, ...more } }).catch(
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(EspalierError);
    expect((error as EspalierError).code).toContain(code);
    expect((error as EspalierError).message).toContain(message);
    expect(readdirSync(root).filter((name) => name.includes("refused"))).toEqual([]);
  });

  it("an output that is there, and flags of a search without its steps", async () => {
    mkdirSync(join(root, "there"));
    await expect(searchPrune(optionsOf("there"))).rejects.toThrow(coded("ERR_OUTPUT_EXISTS"));
    const base = ["prune", teacher, "--importance", "magnitude", "--target-params", "70%", "--out", join(root, "no")];
    for (const [flags, word] of [
      [["--search-lr", "1e-3"], "--search-lr: expected --search-steps"],
      [["--data", data], "--data: expected --search-steps"],
      [["--search-steps", "3"], "expected --data"],
    ] as const) {
      const { status, stderr } = await espalier([...base, ...flags]);
      expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(word) as string });
    }
  });
});
