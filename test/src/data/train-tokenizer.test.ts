/** Trained merges are the Rust trainer's, and what is written loads with the same ids. */
import { existsSync, readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { trainTokenizer, type TrainTokenizerOptions } from "../../../src/data/index.js";
import { loadTokenizer } from "../../../src/tokenizer/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { espalier } from "../cli/run.js";

interface Case {
  name: string;
  vocabSize: number;
  specialTokens: string[];
  minFrequency: number;
  corpus: string[] | "lines";
  merges: [string, string][];
  size: number;
  ids: number[][];
}

const fixtures = join(__dirname, "../../fixtures");
const read = <T>(name: string): T => JSON.parse(readFileSync(join(fixtures, name), "utf8")) as T;
const lines = read<string[]>("tokenizers/lines.json");

function corpusOf(texts: readonly string[]): string {
  const path = join(temporaryDirectory(), "corpus.jsonl");
  writeFileSync(path, texts.map((text) => `${JSON.stringify({ text })}\n`).join(""));
  return path;
}

interface Model {
  merges: [string, string][];
  vocab: Record<string, number>;
}

it.each(read<Case[]>("data/bpe_trainer.json"))("$name: the Rust trainer's merges and ids", async (expected) => {
  const { corpus, vocabSize, specialTokens, minFrequency } = expected;
  const out = join(temporaryDirectory(), "made");
  const inputs = [corpusOf(corpus === "lines" ? lines : corpus)];
  const report = await trainTokenizer({ inputs, out, vocabSize, specialTokens, minFrequency });
  const { model } = JSON.parse(readFileSync(join(out, "tokenizer.json"), "utf8")) as { model: Model };
  expect(model.merges).toEqual(expected.merges);
  expect([Object.keys(model.vocab).length, report.vocabSize]).toEqual([expected.size, expected.size]);
  await using tokenizer = await loadTokenizer({ directory: out });
  const ids = await tokenizer.encodeBatch(lines.slice(0, 40));
  expect(ids.map((row) => [...row])).toEqual(expected.ids);
  expect(tokenizer).toMatchObject({
    vocabSize: expected.size,
    bosTokenId: specialTokens.length > 0 ? 0 : null,
    eosTokenIds: specialTokens.length > 0 ? [0] : [],
    addsBos: false,
  });
});

describe("refuses", () => {
  it.each<[string, Partial<TrainTokenizerOptions>, string, RegExp]>([
    ["fewer tokens than bytes", { vocabSize: 256 }, "ERR_ARGUMENT", /from 257 .* found 256/],
    ["an empty token", { specialTokens: [""] }, "ERR_ARGUMENT", /not empty/],
    ["a token twice", { specialTokens: ["a", "a"] }, "ERR_ARGUMENT", /twice: a, a/],
    ["a corpus without text", { inputs: [corpusOf(["", ""])] }, "ERR_DATA_EMPTY", /the corpus has no text/],
    ["bad lines", { jsonKey: "body" }, "ERR_DATA_LINE", /corpus\.jsonl:1: body: expected a string, found nothing/],
    ["an aborted signal", { signal: AbortSignal.abort() }, "ERR_ABORTED", /aborted/],
  ])("%s", async (_name, options, code, message) => {
    const out = join(temporaryDirectory(), "made");
    const inputs = [corpusOf(["some text"])];
    await expect(trainTokenizer({ inputs, out, vocabSize: 300, ...options })).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
    expect(existsSync(out)).toBe(false);
    expect(readdirSync(join(out, ".."))).toEqual([]);
  });
});

it("trains from the command line, and says when the corpus gives fewer tokens", async () => {
  const out = join(temporaryDirectory(), "made");
  const args = ["tokenizer", "train", corpusOf(["a b"]), "--vocab", "300", "--special", "<x>,<y>", "--out", out];
  const { status, stdout } = await espalier(args);
  expect(status).toBe(0);
  expect(stdout).toMatch(/259 tokens, 1 merges.*\n.*bytes per token\n {2}the corpus has no more pairs: 300/);
  expect(readdirSync(out).sort()).toEqual(["tokenizer.json", "tokenizer_config.json"]);
  expect((await espalier(["tokenizer", "train"])).status).toBe(2);
  expect((await espalier(["tokenizer"])).status).toBe(2);
  expect((await espalier(["tokenizer", "train", "--help"])).stdout).toContain("Example:\n  ");
});
