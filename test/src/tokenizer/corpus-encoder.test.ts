/** The encoder for corpora gives the library's ids, which test/src/tokenizer/parity.test.ts holds against Rust's. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { adaptTokenizerJson } from "../../../src/tokenizer/adapt.js";
import { TokenizerCore } from "../../../src/tokenizer/core.js";
import { CorpusEncoder } from "../../../src/tokenizer/corpus/encoder.js";
import { compilePattern } from "../../../src/tokenizer/corpus/splitter.js";
import { readSource } from "../../../src/tokenizer/read-source.js";
import type { TokenizerSource } from "../../../src/tokenizer/index.js";
import { findAssets } from "../../assets.js";
import { hashOf } from "../../tokenizer-parity.js";
import { sentencePieceMetadata } from "./spm-model.js";
import { tinyByteLevel, tinySentencePiece } from "./tiny-tokenizer.js";

const fixtures = join(__dirname, "../../fixtures/tokenizers");
const lines = JSON.parse(readFileSync(join(fixtures, "lines.json"), "utf8")) as string[];
const long = [
  lines.join("\n"),
  "hello".repeat(3000),
  "heLLo".repeat(500) + " <user>x</s></s>",
  " ".repeat(999) + "w",
  "\u03a9".repeat(400) + "\ud800",
];

async function both(source: TokenizerSource): Promise<[TokenizerCore, TokenizerCore]> {
  const parts = await readSource(source);
  expect(CorpusEncoder.from(adaptTokenizerJson(parts.tokenizerJson, "it"))).not.toBeNull();
  return [new TokenizerCore(parts), new TokenizerCore(parts, { forCorpus: true })];
}

function differing([library, fast]: [TokenizerCore, TokenizerCore], addSpecialTokens: boolean): string[] {
  return [...lines, ...long].filter(
    (text) => hashOf(library.encode(text, addSpecialTokens)) !== hashOf(fast.encode(text, addSpecialTokens)),
  );
}

it("gives the library's ids, with and without special tokens", async () => {
  const cores = await both(tinyByteLevel());
  for (const special of [false, true, false]) expect(differing(cores, special)).toEqual([]);
  expect(cores[1].encode("hello", true)[0]).toBe(0);
});

it("gives the ids of SmolLM2's pre-tokenizer, digits apart", async () => {
  const { tokenizerJson, ...rest } = tinyByteLevel();
  const digits = { type: "Digits", individual_digits: true };
  const preTokenizer = { type: "Sequence", pretokenizers: [digits, tokenizerJson["pre_tokenizer"]] };
  const cores = await both({ ...rest, tokenizerJson: { ...tokenizerJson, pre_tokenizer: preTokenizer } });
  expect(differing(cores, false)).toEqual([]);
});

it("gives the ids of SentencePiece's BPE", async () => {
  const cores = await both({ gguf: tinySentencePiece() });
  for (const special of [false, true]) expect(differing(cores, special)).toEqual([]);
  const text = "  a bc  \u00e9ab <tool>ab a";
  expect([...cores[1].encode(text, false)]).toEqual([...cores[0].encode(text, false)]);
});

it("leaves a SentencePiece whose tokens span words to the library", async () => {
  const { tokenizerJson } = await readSource({ gguf: tinySentencePiece() });
  const { model, ...rest } = tokenizerJson as { model: { vocab: Record<string, number>; merges: unknown[] } };
  const vocab = { ...model.vocab, "a\u2581": 500 };
  const json = { ...rest, model: { ...model, vocab, merges: [...model.merges, ["a", "\u2581"]] } };
  expect(CorpusEncoder.from(adaptTokenizerJson(json, "it"))).toBeNull();
});

describe("real vocabularies", () => {
  const cases: [string, string[], (paths: string[]) => TokenizerSource][] = [
    ["llama3", ["llama3_tokenizer.json"], ([path]) => ({ tokenizerJson: path as string })],
    ["llama2", ["llama2_32k_tokenizer.model"], ([path]) => ({ gguf: sentencePieceMetadata(path as string) })],
    ["gpt2", ["gpt2_vocab.json", "gpt2_merges.txt"], gpt2],
  ];
  for (const [name, files, make] of cases) {
    const paths = findAssets(...files.map((file) => `tokenizers/${file}`));
    (paths === null ? it.skip : it)(`${name}${paths === null ? " (its files are not here)" : ""}`, async () => {
      const expected = JSON.parse(readFileSync(join(fixtures, `${name}.json`), "utf8")) as { hashes: string[] };
      const [, fast] = await both(make(paths!));
      expect(lines.filter((line, i) => hashOf(fast.encode(line, false)) !== expected.hashes[i])).toEqual([]);
    });
  }
});

function gpt2([vocab, merges]: string[]): TokenizerSource {
  const model = {
    type: "BPE",
    vocab: JSON.parse(readFileSync(vocab!, "utf8")) as unknown,
    merges: readFileSync(merges!, "utf8").split("\n").slice(1).filter(Boolean),
  };
  const end = { id: 50256, content: "<|endoftext|>", special: true };
  return {
    tokenizerJson: { model, pre_tokenizer: { type: "ByteLevel", add_prefix_space: false }, added_tokens: [end] },
  };
}

describe("leaves to the library", () => {
  const { tokenizerJson } = tinyByteLevel();
  const model = tokenizerJson["model"] as Record<string, unknown>;
  const byteLevel = tokenizerJson["pre_tokenizer"];
  it.each<[string, Record<string, unknown>]>([
    ["another model", { model: { ...model, type: "WordPiece" } }],
    ["dropout", { model: { ...model, dropout: 0.1 } }],
    ["a normalizer", { normalizer: { type: "NFC" } }],
    ["a prefix space", { pre_tokenizer: { type: "ByteLevel", add_prefix_space: true } }],
    ["no pre-tokenizer", { pre_tokenizer: null }],
    ["a merge of unknown tokens", { model: { ...model, merges: [["q", "q"]] } }],
    ["tokens that swallow spaces", { added_tokens: [{ id: 0, content: "<s>", special: true, lstrip: true }] }],
    [
      "a pattern that may mean something else here",
      {
        pre_tokenizer: {
          type: "Sequence",
          pretokenizers: [{ type: "Split", pattern: { Regex: "\\w+" }, behavior: "Isolated" }, byteLevel],
        },
      },
    ],
  ])("%s", (_name, change) => {
    expect(CorpusEncoder.from(adaptTokenizerJson({ ...tokenizerJson, ...change }, "it"))).toBeNull();
  });
});

describe("patterns", () => {
  it.each([
    [String.raw`\s+`, "\u0085\ufeff", ["\u0085"]],
    [String.raw`\p{N}{1,3}`, "12345", ["123", "45"]],
    ["(?i:'s|'ll)", "'S'll'sx", ["'S", "'ll", "'s"]],
    [String.raw`[^\r\n\p{L}\p{N}]?\p{L}+`, "a\nb c", ["a", "b", " c"]],
  ])("%s", (pattern, text, matches) => {
    expect(text.match(compilePattern(pattern)!)).toEqual(matches);
  });

  it.each([
    "\\w+",
    "\\h",
    "^a",
    "a$",
    "a.b",
    "[a&&b]",
    "[[:alpha:]]",
    "a++",
    "a{1,2}+",
    "(?x)a",
    "(",
    "\\p{Nonsense}",
    "\\-",
  ])("refuses %s", (pattern) => {
    expect(compilePattern(pattern)).toBeNull();
  });
});
