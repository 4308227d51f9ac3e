import { cpSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { buildEngine } from "../../../src/engine/index.js";
import { engineOf, tinyLlama } from "../engine/fixtures.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier } from "./run.js";

const folder = temporaryDirectory();
const documents = [
  { query: "Question: which is sweet", choices: ["honey", "a stone"], gold: 0 },
  { query: "Question: which is wet", choices: ["sand", "rain", "a brick"], gold: 1 },
  { query: "Question: which is round", choices: ["a ball", "a box"], gold: 0 },
];
const file = join(folder, "arc.jsonl");
writeFileSync(file, documents.map((line) => JSON.stringify(line)).join("\n"));

/** A tiny Llama that knows letters: byte-level tokens without merges. */
async function engineWithLetters(): Promise<string> {
  const letters = [..."ĊĠabcdefghijklmnopqrstuvwxyzAQ:?."];
  const byteLevel = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true, use_regex: true };
  const model = join(folder, "letters");
  cpSync(tinyLlama("plain-v4"), model, { recursive: true });
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
  writeFileSync(join(model, "tokenizer.json"), JSON.stringify(tokenizer));
  const engine = join(folder, "engine");
  await buildEngine(model, engine, { weights: "f32" });
  return engine;
}

it("scores a model, and says how much of another's score it keeps", async () => {
  const engine = await engineWithLetters();
  const args = ["evaluate", engine, "--tasks", `arc_easy=${file}`, "--few-shot", "1", "--reference", engine];
  const { status, stdout, stderr } = await espalier([...args, "--json"]);
  expect([status, stderr]).toEqual([0, expect.stringContaining("arc_easy 100%")]);
  const { tasks, reference, recovery } = JSON.parse(stdout) as Record<string, Record<string, unknown>>;
  const score = { file, documents: 3, shots: 1, truncated: 0, metrics: { acc: {}, acc_norm: {} } };
  expect(tasks).toMatchObject({ arc_easy: score });
  expect(reference).toMatchObject({ model: engine, tasks });
  expect([100, null]).toContainEqual((recovery as { mean: number | null }).mean);
  const table = await espalier(args);
  expect(table.stdout).toMatch(/task .* metric .* recovery/);
  expect(table.stdout).toMatch(/arc_easy . acc_norm . +3 . +1 . \d\.\d{4}/);
});

it("looks at the reference before anything is scored", async () => {
  const tasks = ["--tasks", `arc_easy=${file}`, "--reference", join(folder, "no-reference")];
  const { status, stderr } = await espalier(["evaluate", await engineOf("plain-v4"), ...tasks]);
  expect([status, stderr]).toEqual([1, expect.stringMatching(/ERR_MODEL_NOT_FOUND: .*no-reference/)]);
  expect(stderr).not.toContain("arc_easy");
  const text = ["--perplexity", file, "--limit", "3"];
  const other = await espalier(["evaluate", await engineOf("plain-v4"), ...text]);
  expect([other.status, other.stderr]).toEqual([2, expect.stringContaining("limit: expected --tasks beside it")]);
});

it("refuses wrong use before a model is loaded", async () => {
  const outcome = async (...args: string[]) => {
    const { status, stdout } = await espalier(["evaluate", "no-such-model", ...args, "--json"]);
    return [status, (JSON.parse(stdout) as { error: { code: string; message: string } }).error];
  };
  const error = (code: string, message: string) => ({ code, message: expect.stringContaining(message) as string });
  expect(await outcome("--tasks", "arc_easy")).toEqual([2, expect.objectContaining(error("ERR_USAGE", "TASK=FILE"))]);
  expect(await outcome("--tasks", `arc=${file}`)).toMatchObject([1, error("ERR_TASK_UNKNOWN", "arc_challenge")]);
  expect(await outcome("--tasks", `piqa=${join(folder, "none")}`)).toMatchObject([1, error("ERR_FILE_READ", "none")]);
  const boolq = await outcome("--tasks", `winogrande=${file}`);
  expect(boolq).toMatchObject([1, error("ERR_TASK_FIELD", "arc.jsonl:1: sentence: expected a string, found nothing")]);
  const both = await outcome("--tasks", `arc_easy=${file}`, "--perplexity", file);
  expect(both).toMatchObject([2, error("ERR_USAGE", "found both")]);
  const shots = await outcome("--tasks", `arc_easy=${file}`, "--few-shot-from", `piqa=${file}`);
  expect(shots).toMatchObject([2, error("ERR_USAGE", "--few-shot-from")]);
  expect(await outcome("--tasks", `arc_easy=${file}`)).toMatchObject([1, error("ERR_MODEL_NOT_FOUND", "no-such")]);
});

it("needs a tokenizer", async () => {
  const { status, stderr } = await espalier(["evaluate", await engineOf("plain-v4"), "--tasks", `arc_easy=${file}`]);
  expect([status, stderr]).toEqual([1, expect.stringContaining("ERR_TOKENIZER_MISSING")]);
});
