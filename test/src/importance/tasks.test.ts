/** Scores on tasks without blocks of layers are those of `evaluate` on the pruned models. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildEngine, Engine } from "../../../src/engine/index.js";
import { evaluateTasks, readTasks } from "../../../src/evaluate/index.js";
import { defaultAggregation } from "../../../src/importance/aggregate.js";
import {
  loadImportance,
  measureImportance,
  readManifest,
  type ImportanceOptions,
} from "../../../src/importance/index.js";
import { Journal } from "../../../src/importance/journal.js";
import { prune } from "../../../src/prune/index.js";
import { coded } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier } from "../cli/run.js";
import { smallConfig, writeModel } from "../prune/fixtures.js";
import { checkMarkup } from "../report/check-markup.js";
import { writeTokenData } from "../train/token-data.js";

const root = temporaryDirectory();
const scores = join(root, "scores");
const file = join(root, "arc.jsonl");
const layers = 5;
let model: string;
let data: string;

/** Byte-level tokens without merges. */
function writeLetters(directory: string): void {
  const letters = [..."ĊĠabcdefghijklmnopqrstuvwxyzAQ:?."];
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const tokenizer = {
    version: "1.0",
    truncation: null,
    padding: null,
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: { type: "BPE", vocab: Object.fromEntries(letters.map((letter, id) => [letter, id])), merges: [] },
  };
  writeFileSync(join(directory, "tokenizer.json"), JSON.stringify(tokenizer));
}

const words = ["honey", "a stone", "rain", "sand", "a box", "the sea", "ice", "wood"];
const documents = Array.from({ length: 24 }, (_, i) => ({
  query: `Question: which is ${words[(3 * i + 1) % 8]}?`,
  choices: [0, 1, 2].map((j) => words[(i + j * j + j) % 8]!),
  gold: i % 3,
}));

const shared = { samples: 4, seqLength: 16, lossSamples: 2, layerBlocks: [1, 2], tasksLimit: 20, fewShot: 1 };
const taskFiles = [{ task: "arc_easy", file }];

beforeAll(async () => {
  const config = { ...smallConfig, num_hidden_layers: layers, vocab_size: 33, max_position_embeddings: 256 };
  model = writeModel(join(root, "model"), config);
  writeLetters(model);
  writeFileSync(file, documents.map((line) => JSON.stringify(line)).join("\n"));
  data = await writeTokenData(root);
});

/** What `evaluate --tasks` says of the model without these layers, counted from 1. */
async function evaluated(dropLayers: string): Promise<Record<string, number>> {
  const pruned = join(root, `without-${dropLayers}`);
  await prune({ model, dropLayers, out: pruned });
  await buildEngine(pruned, `${pruned}-engine`, { weights: "f32" });
  await using engine = await Engine.load(`${pruned}-engine`);
  const { tasks } = await evaluateTasks(engine, await readTasks(taskFiles), { limit: 20, shots: 1 });
  return Object.fromEntries(Object.entries(tasks["arc_easy"]!.metrics).map(([name, { value }]) => [name, value]));
}

it("are those of the pruned models, every block of every size", async () => {
  const kinds = new Set<string>();
  const { tasks } = await measureImportance(
    { model, data, ...shared, tasks: taskFiles, plot: true, out: scores },
    { onProgress: ({ kind }) => kinds.add(kind) },
  );
  expect([...kinds]).toEqual(["indexing", "plan", "pass", "losses", "tasks"]);
  expect(readdirSync(scores).sort()).toEqual(["importance.json", "report.html", "scores.safetensors"]);
  const [task] = tasks;
  expect(task).toMatchObject({ task: "arc_easy", documents: 20, shots: 1, metric: "acc" });
  expect(tasks).toEqual((await readManifest(scores)).tasks);
  const found: unknown[] = [];
  const expected: unknown[] = [];
  for (const size of [1, 2])
    for (let begin = 0; begin + size <= layers; ++begin) {
      const row = task!.without.find((one) => one.size === size)!.scores;
      found.push({ acc: row["acc"]![begin], acc_norm: row["acc_norm"]![begin] });
      expected.push(await evaluated(`${begin + 1}-${begin + size}`));
    }
  expect(found).toEqual(expected);
  expect(new Set(found.map((row) => JSON.stringify(row))).size).toBeGreaterThan(2); // not one number for all
  const page = readFileSync(join(scores, "report.html"), "utf8");
  checkMarkup(page);
  expect(page).toContain("arc_easy without a block of layers");
});

it("prune takes the block by them", async () => {
  const { contiguous } = await loadImportance(scores, defaultAggregation);
  const row = contiguous.find(({ size }) => size === 2)!;
  const [accuracy, losses] = [[...row.accuracyWithout!], [...row.lossWithout!]];
  const most = Math.max(...accuracy);
  const tied = losses.filter((_, i) => accuracy[i] === most);
  const first = losses.indexOf(Math.min(...tied));
  const args = ["--layers", "3", "--layer-method", "contiguous-accuracy", "--dry-run", "--json"];
  const { stdout } = await espalier(["prune", model, "--importance", scores, ...args]);
  expect(JSON.parse(stdout)).toMatchObject({ droppedLayers: [first + 1, first + 2] });
  const options = { model, importance: scores, layers: 2, layerMethod: "contiguous-accuracy", dryRun: true } as const;
  await expect(prune(options)).rejects.toThrow(
    coded("ERR_PRUNE_SCORES", "accuracies without 3 layers, found those without 1, 2"),
  );
});

it("an engine without layers is that of the pruned model, to the last bit", async () => {
  const [whole, part] = [join(root, "whole"), join(root, "without-2-3-engine")];
  await buildEngine(model, whole, { weights: "f32" });
  const ids = [1, 2, 3, 5, 8, 13, 21];
  await using skipping = await Engine.load(whole, { skipLayers: [1, 3] });
  await using pruned = await Engine.load(part);
  expect(skipping.spec.numLayers).toBe(3);
  expect(await skipping.logits(ids, { all: true })).toEqual(await pruned.logits(ids, { all: true }));
  for (const skipLayers of [
    [0, 5],
    [3, 2],
    [-1, 2],
    [2, 6],
    [0.5, 1],
  ] as const)
    await expect(Engine.load(whole, { skipLayers })).rejects.toThrow(coded("ERR_ARGUMENT", "skipLayers"));
});

it("goes on where it was stopped: what is known is not measured again", async () => {
  const out = join(root, "stopped");
  const options = { model, data, ...shared, tasks: taskFiles, out };
  const stop = new AbortController();
  const stopped = measureImportance(options, {
    signal: stop.signal,
    onProgress: (event) => event.kind === "tasks" && event.done > 100 && stop.abort(),
  });
  await expect(stopped).rejects.toThrow(coded("ERR_ABORTED"));
  expect(existsSync(out)).toBe(false);
  const work = join(root, ".stopped.espalier-unfinished", "work");
  const known = readFileSync(join(work, "layers.jsonl"), "utf8").trim().split("\n");
  expect(known.length).toBeGreaterThan(10 + 2); // losses, and blocks of tasks
  const kinds: string[] = [];
  await measureImportance(options, { onProgress: ({ kind }) => kinds.push(kind) });
  expect(kinds).toContain("resumed");
  expect(kinds).not.toContain("pass");
  expect(readFileSync(join(out, "importance.json"), "utf8")).toBe(
    readFileSync(join(scores, "importance.json"), "utf8"),
  );
});

it("a journal passes over what a kill cut off, and measures it again", async () => {
  const path = join(root, "journal");
  const one = await Journal.open(path);
  expect(await one.once("a", async () => ({ x: 0.1 }))).toEqual({ x: 0.1 });
  writeFileSync(path, `${readFileSync(path, "utf8")}\n{"key":"b","figu`);
  const two = await Journal.open(path);
  expect(await two.once("b", async () => ({ y: 2 }))).toEqual({ y: 2 });
  const three = await Journal.open(path);
  const never = (): Promise<never> => Promise.reject(new Error("measured again"));
  expect([await three.once("a", never), await three.once("b", never)]).toEqual([{ x: 0.1 }, { y: 2 }]);
  await expect(three.once("c", never)).rejects.toThrow("measured again");
});

it.each<[string, Partial<ImportanceOptions>, string, string]>([
  ["an unknown task", { tasks: [{ task: "arc", file }] }, "ERR_TASK_UNKNOWN", "arc_easy"],
  ["a file that is not there", { tasks: [{ task: "arc_easy", file: "nothing.jsonl" }] }, "ERR_FILE_READ", "nothing"],
  ["a limit without tasks", { tasksLimit: 3 }, "ERR_ARGUMENT", "tasksLimit: expected tasks beside it"],
  ["no documents", { tasks: taskFiles, tasksLimit: 0 }, "ERR_ARGUMENT", "tasksLimit"],
])("refuses %s, before anything is measured", async (_what, change, code, message) => {
  const kinds: string[] = [];
  const hooks = { onProgress: ({ kind }: { kind: string }) => kinds.push(kind) };
  const measured = measureImportance({ model, data, seqLength: 16, out: join(root, "refused"), ...change }, hooks);
  await expect(measured).rejects.toThrow(coded(code, message));
  expect(kinds).toEqual([]);
});
