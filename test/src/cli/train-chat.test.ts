/** `espalier train MODEL --data chat.jsonl`: only answers are learned, bad lines are told, a stopped run is resumed exactly. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openChatDataset } from "../../../src/data/index.js";
import { tinyConfig, writeTinyDirectory } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { lastingMetrics, metricsOf } from "../train/fixtures.js";
import { random } from "../train/toy-trainer.js";
import { tinyByteLevel } from "../tokenizer/tiny-tokenizer.js";
import { espalier } from "./run.js";

const CONVERSATIONS = 120;
const [STEPS, BATCH, LENGTH] = [120, 4, 48];
const root = temporaryDirectory();
const data = join(root, "chat.jsonl");
const tokenizer = join(root, "tokenizer");
const model = join(root, "begun", "model");

/** Questions nobody can guess, each answered "hello". */
function writeConversations(path: string): void {
  const draw = random(3);
  const noise = (): string => String.fromCharCode(...Array.from({ length: 8 }, () => 33 + Math.floor(draw() * 90)));
  const rows = Array.from({ length: CONVERSATIONS }, (_, i) => {
    const messages = [
      { role: "user", content: noise() },
      { role: "assistant", content: "hello" },
    ];
    return JSON.stringify(i % 3 === 0 ? { prompt: noise(), completion: "hello" } : { messages });
  });
  rows.splice(6, 0, "no JSON", '{"messages": []}');
  writeFileSync(path, rows.join("\n"));
}

beforeAll(async () => {
  const { tokenizerJson, tokenizerConfig } = tinyByteLevel();
  mkdirSync(tokenizer);
  writeFileSync(join(tokenizer, "tokenizer.json"), JSON.stringify(tokenizerJson));
  writeFileSync(join(tokenizer, "tokenizer_config.json"), JSON.stringify(tokenizerConfig));
  writeConversations(data);
  const config = join(root, "config.json");
  writeFileSync(config, JSON.stringify({ ...tinyConfig, vocab_size: 264, tie_word_embeddings: true }));
  const begin = ["train", "--config", config, "--tokenizer", tokenizer, "--data", data, "--max-bad-lines", "2"];
  const { status, stderr } = await espalier([
    ...[...begin, "--steps", "1", "--lr", "1e-9", "--global-batch", "1", "--seq-length", String(LENGTH)],
    ...["--limit-val-batches", "0", "--threads", "1", "--out", join(root, "begun")],
  ]);
  expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
});

const command = (out: string, ...more: string[]): string[] => [
  ...["train", model, "--data", data, "--split", "90,10,0", "--max-bad-lines", "2", "--steps", String(STEPS)],
  ...["--global-batch", String(BATCH), "--micro-batch", "2", "--seq-length", String(LENGTH), "--lr", "1e-2"],
  ...["--val-check-interval", "20", "--limit-val-batches", "2", "--threads", "1", "--out", join(root, out), ...more],
];
const weights = (out: string): string => readFileSync(join(root, out, "model", "model.safetensors")).toString("base64");

it("learns the answers alone, and tells which lines it left out", async () => {
  const { status, stdout, stderr } = await espalier(command("whole", "--json"));
  expect({ status, stderr: status === 0 ? "" : stderr }).toEqual({ status: 0, stderr: "" });
  expect(stderr).toContain("2 bad lines left out:");
  expect(stderr).toMatch(/chat\.jsonl:7: not JSON/);
  expect(stderr).toMatch(/chat\.jsonl:8: messages: expected an assistant's answer/);
  // The questions are noise of ln 90 = 4.5 a character: had they been counted, the loss could not come near 0.
  const result = JSON.parse(stdout) as { loss: number; valLoss: number; consumedTokens: number };
  expect(metricsOf(join(root, "whole"))[0]?.loss).toBeGreaterThan(4);
  expect(result.loss).toBeLessThan(0.5);
  expect(result.valLoss).toBeLessThan(0.5);
  await using splits = await openChatDataset({
    inputs: [data],
    tokenizer: { directory: model },
    sequenceLength: LENGTH,
    split: "90,10,0",
    samples: { train: STEPS * BATCH },
    maxBadLines: 2,
  });
  const { labels } = await splits.train.batch(0, STEPS * BATCH);
  expect(result.consumedTokens).toBe(labels.filter((label) => label !== -100).length);
});

it("goes on exactly where it was interrupted, and not with other conversations", async () => {
  const stopped = await espalier(command("stopped"), { interruptAt: "step 1/" });
  expect(stopped.status).toBe(130);
  const kept = readFileSync(data, "utf8");
  writeFileSync(data, kept.replace("hello", "hullo"));
  const other = await espalier(command("stopped", "--json"));
  writeFileSync(data, kept);
  expect(JSON.parse(other.stdout)).toMatchObject({ error: { code: "ERR_TRAIN_RESUME" } });
  const resumed = await espalier(command("stopped"));
  expect({ status: resumed.status, stderr: resumed.stderr }).toMatchObject({ status: 0 });
  expect(resumed.stderr).toContain("going on from");
  expect(weights("stopped")).toBe(weights("whole"));
  expect(lastingMetrics(join(root, "stopped"))).toEqual(lastingMetrics(join(root, "whole")));
});

it("refuses more bad lines than are allowed, and a model without a tokenizer, before it writes anything", async () => {
  const run = await espalier(command("bad", "--max-bad-lines", "1", "--json"));
  const { error } = JSON.parse(run.stdout) as { error: { code: string; message: string } };
  expect([run.status, error.code]).toEqual([1, "ERR_DATA_CHAT"]);
  expect(error.message).toMatch(/chat\.jsonl:7: .*\(2 bad lines, 1 are allowed/);
  const bare = writeTinyDirectory(join(root, "bare"));
  const mute = await espalier(command("bad", "--json").map((word) => (word === model ? bare : word)));
  expect(JSON.parse(mute.stdout)).toMatchObject({ error: { code: "ERR_TOKENIZER_MISSING" } });
  expect(existsSync(join(root, "bad"))).toBe(false);
});
