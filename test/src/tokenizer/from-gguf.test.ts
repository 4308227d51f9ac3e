import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  loadTokenizer,
  tokenizerFilesFromGguf,
  tokenizerFromFiles,
  writeTokenizerFiles,
} from "../../../src/tokenizer/index.js";
import { temporaryDirectory } from "../../temporary.js";
import { byteCharacters, tinySentencePiece } from "./tiny-tokenizer.js";

const UNDERSCORE = 259;
const [A, B, C] = [260, 261, 262];
const [SPACE_A, AB, SPACE_AB, TOOL] = [263, 264, 265, 266];

/** Byte-level BPE: bytes, then "12", "Ġ1", an end-of-turn token and one of the user's. */
function bytePair(extra: Record<string, unknown> = {}): Map<string, unknown> {
  const tokens = [...byteCharacters, "12", "Ġ1", "<|eot_id|>", "<tool>"];
  return new Map<string, unknown>(
    Object.entries({
      "general.architecture": "llama",
      "llama.context_length": 2048,
      "tokenizer.ggml.model": "gpt2",
      "tokenizer.ggml.pre": "llama-bpe",
      "tokenizer.ggml.tokens": tokens,
      "tokenizer.ggml.token_type": Int32Array.from(tokens, (_, id) => (id === 258 ? 3 : id === 259 ? 4 : 1)),
      "tokenizer.ggml.merges": ["1 2", "Ġ 1", "no such"],
      "tokenizer.ggml.bos_token_id": 0,
      "tokenizer.ggml.eos_token_id": 1n,
      ...extra,
    }),
  );
}

async function encode(gguf: Map<string, unknown> | Record<string, unknown>, text: string): Promise<number[]> {
  await using tokenizer = await loadTokenizer({ gguf });
  return [...(await tokenizer.encode(text))];
}

describe("SentencePiece", () => {
  it("merges by score, adds the space and the beginning, falls back to bytes", async () => {
    expect(await encode(tinySentencePiece(), "ab")).toEqual([1, SPACE_AB]);
    expect(await encode(tinySentencePiece(), "c ab a")).toEqual([1, UNDERSCORE, C, SPACE_AB, SPACE_A]);
    expect(await encode(tinySentencePiece(), "aab<tool>b")).toEqual([1, SPACE_A, AB, TOOL, UNDERSCORE, B]);
    expect(await encode(tinySentencePiece(), "é")).toEqual([1, UNDERSCORE, 3 + 0xc3, 3 + 0xa9]);
  });

  it("heeds add_space_prefix and add_bos_token", async () => {
    const flags = { "tokenizer.ggml.add_space_prefix": false, "tokenizer.ggml.add_bos_token": false };
    const metadata = { ...tinySentencePiece(), ...flags, "tokenizer.ggml.add_eos_token": true };
    expect(await encode(metadata, "ab a")).toEqual([AB, SPACE_A, 2]);
    await using tokenizer = await loadTokenizer({ gguf: metadata });
    expect(await tokenizer.decode([SPACE_A, A])).toBe(" aa");
    expect(tokenizer.addsBos).toBe(false);
  });

  it("decodes", async () => {
    await using tokenizer = await loadTokenizer({ gguf: tinySentencePiece() });
    expect(tokenizer).toMatchObject({ addsBos: true, bosTokenId: 1, unkTokenId: 0, eosTokenIds: [2], vocabSize: 267 });
    expect(await tokenizer.decode(await tokenizer.encode("ab é😀 c"))).toBe("ab é😀 c");
  });
});

describe("byte-level BPE", () => {
  it("uses the pre-tokenizer of the name", async () => {
    const cuts = async (pre: string | undefined, text: string): Promise<number[]> =>
      encode(bytePair({ "tokenizer.ggml.pre": pre, "tokenizer.ggml.add_bos_token": false }), text);
    const [space, one, two] = [" ", "1", "2"].map((character) => character.charCodeAt(0));
    expect(await cuts("gpt-2", " 12")).toEqual([space, 256]); // "1 2" ranks before "Ġ 1"
    expect(await cuts("smollm", " 12")).toEqual([space, one, two]); // single digits first
    expect(await cuts("llama-bpe", " 12")).toEqual([space, 256]);
    expect(await cuts("qwen2", "12")).toEqual([one, two]);
    expect(await cuts(undefined, "12")).toEqual([256]);
  });

  it("takes defaults and special tokens from the metadata", async () => {
    await using tokenizer = await loadTokenizer({ gguf: bytePair() });
    expect(tokenizer).toMatchObject({ addsBos: true, bosTokenId: 0, eosTokenIds: [1, 258] });
    expect([...(await tokenizer.encode("<tool><|eot_id|>"))]).toEqual([0, 259, 258]);
    expect(await tokenizer.decode([258, 259])).toBe("<tool>");
  });

  it("gives a spelling that comes twice to its first id", () => {
    const tokens = ["a", "b", "a"];
    const { tokenizerJson } = tokenizerFilesFromGguf(
      bytePair({ "tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": [1, 1, 1] }),
    );
    expect(tokenizerJson["model"]).toMatchObject({ vocab: { a: 0, b: 1, "[a#2]": 2 } });
  });

  it("writes Hugging Face files that give the same ids", async () => {
    const folder = temporaryDirectory();
    const gguf = bytePair({ "tokenizer.chat_template": "{{ messages }}" });
    await writeTokenizerFiles({ tokenizerFiles: { gguf: Object.fromEntries(gguf) as never } }, folder);
    const config = JSON.parse(readFileSync(join(folder, "tokenizer_config.json"), "utf8")) as unknown;
    expect(config).toEqual({
      add_bos_token: true,
      add_eos_token: false,
      bos_token: byteCharacters[0],
      eos_token: byteCharacters[1],
      chat_template: "{{ messages }}",
      clean_up_tokenization_spaces: false,
      model_max_length: 2048,
      tokenizer_class: "PreTrainedTokenizerFast",
    });
    const tokenizer = await tokenizerFromFiles(folder);
    expect(tokenizer).toMatchObject({ eosTokenIds: [1, 258], chatTemplate: "{{ messages }}" });
    expect([...(await tokenizer!.encode("x 12 y"))]).toEqual(await encode(gguf, "x 12 y"));
    await tokenizer?.dispose();
  });
});

describe("bad metadata", () => {
  it.each([
    ["no tokenizer", { "tokenizer.ggml.model": undefined }, "MISSING", /no tokenizer\.ggml\.model/],
    ["an unknown model", { "tokenizer.ggml.model": "t5" }, "UNSUPPORTED", /found "t5"/],
    ["an unknown pre-tokenizer", { "tokenizer.ggml.pre": "new" }, "UNSUPPORTED", /smollm.*found "new"/],
    ["no tokens", { "tokenizer.ggml.tokens": [] }, "MALFORMED", /tokenizer\.ggml\.tokens/],
    ["tokens that are numbers", { "tokenizer.ggml.tokens": [1] }, "MALFORMED", /an array of strings/],
    ["too few types", { "tokenizer.ggml.token_type": [1] }, "MALFORMED", /260 numbers/],
    ["no merges", { "tokenizer.ggml.merges": undefined }, "MALFORMED", /tokenizer\.ggml\.merges/],
    [
      "an id out of range",
      { "tokenizer.ggml.eos_token_id": 260 },
      "MALFORMED",
      /eos_token_id: expected an id below 260/,
    ],
    [
      "a flag that is text",
      { "tokenizer.ggml.add_bos_token": "yes" },
      "MALFORMED",
      /add_bos_token: expected a boolean/,
    ],
  ])("%s", async (_name, extra, code, message) => {
    await expect(loadTokenizer({ gguf: bytePair(extra) })).rejects.toMatchObject({
      code: `ERR_TOKENIZER_${code}`,
      message: expect.stringMatching(message),
    });
  });

  it("needs scores for SentencePiece", async () => {
    const { "tokenizer.ggml.scores": _, ...metadata } = tinySentencePiece();
    await expect(loadTokenizer({ gguf: metadata })).rejects.toMatchObject({ code: "ERR_TOKENIZER_MALFORMED" });
  });
});
