import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openCheckpoint } from "../../../src/checkpoint/index.js";
import type { GgufEntry } from "../../../src/checkpoint/gguf-types.js";
import { exportGguf } from "../../../src/export/gguf/index.js";
import { ggufPreName } from "../../../src/tokenizer/gguf-pre-name.js";
import { ggufPreTokenizers } from "../../../src/tokenizer/gguf-pre-tokenizers.js";
import { loadTokenizer, tokenizerFilesFromGguf, tokenizerToGguf } from "../../../src/tokenizer/index.js";
import { findAssets } from "../../assets.js";
import { coded, tinyConfig, writeTinyDirectory } from "../../model-files.js";
import { temporaryDirectory } from "../../temporary.js";
import { CHAT_TEMPLATE, tinyByteLevel, tinySentencePiece } from "./tiny-tokenizer.js";

const root = temporaryDirectory();
let count = 0;
const noIds = { bosTokenId: null, eosTokenIds: [], padTokenId: null };

function directoryOf(tokenizerJson: object, tokenizerConfig: object = {}): string {
  const directory = join(root, `tokenizer${count++}`);
  mkdirSync(directory);
  writeFileSync(join(directory, "tokenizer.json"), JSON.stringify(tokenizerJson));
  writeFileSync(join(directory, "tokenizer_config.json"), JSON.stringify(tokenizerConfig));
  return directory;
}

function metadataOf(entries: readonly GgufEntry[]): Record<string, unknown> {
  return Object.fromEntries(entries.map((entry) => [entry.key, entry.type === "array" ? entry.values : entry.value]));
}

const texts = ["hello hell world", " w  wé😀\n\n12345 <user> x", "", "<s>a</s>b", "▁ab aab ab<tool>"];

async function expectSameIds(directory: string, gguf: Record<string, unknown>): Promise<void> {
  await using expected = await loadTokenizer({ directory });
  await using found = await loadTokenizer({ gguf });
  for (const text of texts) expect([...(await found.encode(text))]).toEqual([...(await expected.encode(text))]);
  expect(found).toMatchObject({
    bosTokenId: expected.bosTokenId,
    addsBos: expected.addsBos,
    eosTokenIds: expected.eosTokenIds,
  });
}

it("keeps a byte-level tokenizer: ids, special tokens, template", async () => {
  const { tokenizerJson, tokenizerConfig } = tinyByteLevel();
  const directory = directoryOf(tokenizerJson, tokenizerConfig);
  const gguf = metadataOf(await tokenizerToGguf(directory, { ...noIds, vocabSize: 270 }));
  expect(gguf).toMatchObject({
    "tokenizer.ggml.model": "gpt2",
    "tokenizer.ggml.pre": "gpt-2",
    "tokenizer.ggml.bos_token_id": 0,
    "tokenizer.ggml.eos_token_id": 1,
    "tokenizer.ggml.add_bos_token": true,
    "tokenizer.ggml.add_eos_token": false,
    "tokenizer.chat_template": CHAT_TEMPLATE,
  });
  const types = gguf["tokenizer.ggml.token_type"] as number[];
  expect([types[0], types[2], types[263], types[264]]).toEqual([3, 1, 4, 5]);
  expect((gguf["tokenizer.ggml.tokens"] as string[])[269]).toBe("[PAD269]");
  await expectSameIds(directory, gguf);
});

it("keeps a SentencePiece tokenizer with byte fallback: scores fall in the order of the merges", async () => {
  const { tokenizerJson, tokenizerConfig } = tokenizerFilesFromGguf(tinySentencePiece());
  const directory = directoryOf(tokenizerJson, tokenizerConfig);
  const gguf = metadataOf(await tokenizerToGguf(directory, { ...noIds, vocabSize: 267 }));
  expect(gguf).toMatchObject({
    "tokenizer.ggml.model": "llama",
    "tokenizer.ggml.unknown_token_id": 0,
    "tokenizer.ggml.add_bos_token": true,
    "tokenizer.ggml.add_space_prefix": true,
    "tokenizer.ggml.token_type": tinySentencePiece()["tokenizer.ggml.token_type"],
  });
  await expectSameIds(directory, gguf);
});

it("takes ids from the model's configuration where the tokenizer's has none, and a second end as eot", async () => {
  const { tokenizerJson } = tinyByteLevel();
  const options = { vocabSize: 264, bosTokenId: 5, eosTokenIds: [7, 1], padTokenId: 9 };
  expect(metadataOf(await tokenizerToGguf(directoryOf(tokenizerJson), options))).toMatchObject({
    "tokenizer.ggml.bos_token_id": 5,
    "tokenizer.ggml.eos_token_id": 7,
    "tokenizer.ggml.eot_token_id": 1,
    "tokenizer.ggml.padding_token_id": 9,
  });
});

describe("the pre-tokenizer's name", () => {
  it("is found by what it does", () => {
    const names = ["gpt-2", "smollm", "llama-bpe", "qwen2", "tekken", "dbrx", "default"];
    for (const name of names) {
      const known = ggufPreTokenizers.get(name)!;
      expect(ggufPreName(known.preTokenizer, known.ignoreMerges)).toBe(name);
    }
    const nested = { type: "Sequence", pretokenizers: [{ type: "Sequence", pretokenizers: [{ type: "ByteLevel" }] }] };
    expect(ggufPreName(nested, false)).toBe("gpt-2");
  });

  it("is not guessed", () => {
    const unknown = [
      null,
      { type: "Whitespace" },
      { type: "ByteLevel", add_prefix_space: true },
      { type: "Digits", individual_digits: true },
      { type: "Split", pattern: { Regex: "x" }, behavior: "Removed" },
      { type: "Sequence", pretokenizers: [{ type: "Digits" }, { type: "ByteLevel" }] },
    ];
    for (const config of unknown) expect(ggufPreName(config, false)).toBeNull();
    expect(ggufPreName({ type: "ByteLevel" }, true)).toBeNull();
  });

  it("can be given", async () => {
    const { tokenizerJson } = tinyByteLevel();
    const directory = directoryOf({ ...tokenizerJson, pre_tokenizer: { type: "Digits" } });
    const convert = (pre?: string): Promise<GgufEntry[]> =>
      tokenizerToGguf(directory, { ...noIds, vocabSize: 264, pre });
    await expect(convert()).rejects.toThrow(coded("ERR_TOKENIZER_UNSUPPORTED", "pre_tokenizer"));
    await expect(convert("gpt2")).rejects.toThrow(coded("ERR_ARGUMENT", "gpt-2", "gpt2"));
    expect(metadataOf(await convert("smollm"))["tokenizer.ggml.pre"]).toBe("smollm");
  });
});

it("refuses what GGUF cannot say", async () => {
  const { tokenizerJson } = tinyByteLevel();
  const model = tokenizerJson["model"] as object;
  const convert = (json: object, vocabSize = 264): Promise<GgufEntry[]> =>
    tokenizerToGguf(directoryOf(json), { ...noIds, vocabSize });
  await expect(convert({ ...tokenizerJson, model: { ...model, type: "WordPiece" } })).rejects.toThrow(
    coded("ERR_TOKENIZER_UNSUPPORTED", "model.type", "WordPiece"),
  );
  await expect(convert({ ...tokenizerJson, normalizer: { type: "Lowercase" } })).rejects.toThrow(
    coded("ERR_TOKENIZER_UNSUPPORTED", "normalizer", "Lowercase"),
  );
  await expect(convert(tokenizerJson, 263)).rejects.toThrow(coded("ERR_TOKENIZER_MALFORMED", "263", "262"));
});

it("goes through a file", async () => {
  const source = writeTinyDirectory(join(root, "model"), { ...tinyConfig, vocab_size: 264 });
  const { tokenizerJson, tokenizerConfig } = tinyByteLevel();
  writeFileSync(join(source, "tokenizer.json"), JSON.stringify(tokenizerJson));
  writeFileSync(join(source, "tokenizer_config.json"), JSON.stringify(tokenizerConfig));
  await using checkpoint = await openCheckpoint(source);
  const [first, second] = [join(root, "first.gguf"), join(root, "second.gguf")];
  await exportGguf(checkpoint, first, { type: "q8_0", name: "same" });
  await using once = await openCheckpoint(first);
  await expectSameIds(source, once.tokenizerFiles.gguf!);
  // A copy of a copy keeps every key with its type.
  await exportGguf(once, second, { type: "q8_0", name: "same" });
  expect(readFileSync(second).equals(readFileSync(first))).toBe(true);
});

const assets = findAssets("tokenizers/llama3_tokenizer.json", "tokenizers/llama3_tokenizer_config.json");
if (assets === null) console.log("skipped: Llama 3's tokenizer, its files are not there");
(assets === null ? it.skip : it)("recognizes Llama 3's tokenizer", async () => {
  const [json, config] = (assets ?? []).map((path) => JSON.parse(readFileSync(path, "utf8")) as object);
  const gguf = metadataOf(await tokenizerToGguf(directoryOf(json!, config), { ...noIds, vocabSize: 128256 }));
  expect(gguf).toMatchObject({ "tokenizer.ggml.pre": "llama-bpe", "tokenizer.ggml.bos_token_id": 128000 });
  expect((gguf["tokenizer.ggml.merges"] as string[]).length).toBe(280147);
});
