import { readFileSync } from "node:fs";
import { loadTokenizer, type TokenizerSource } from "../../../src/tokenizer/index.js";
import { findAssets } from "../../assets.js";
import { differences, hashOf } from "../../tokenizer-parity.js";
import { sentencePieceMetadata } from "./spm-model.js";

const text = (path: string | undefined): string => readFileSync(path as string, "utf8");
const special = (id: number, content: string): object => ({ id, content, special: true, normalized: false });

function gpt2([vocab, merges]: string[]): TokenizerSource {
  return {
    tokenizerJson: {
      model: {
        type: "BPE",
        vocab: JSON.parse(text(vocab)) as unknown,
        merges: text(merges).split("\n").slice(1).filter(Boolean),
      },
      pre_tokenizer: { type: "ByteLevel", add_prefix_space: false, use_regex: true },
      decoder: { type: "ByteLevel" },
      added_tokens: [special(50256, "<|endoftext|>")],
    },
  };
}

function bert([path]: string[]): TokenizerSource {
  const vocab = Object.fromEntries(
    text(path)
      .split("\n")
      .filter(Boolean)
      .map((token, id) => [token, id]),
  );
  return {
    tokenizerJson: {
      model: { type: "WordPiece", vocab, unk_token: "[UNK]", continuing_subword_prefix: "##" },
      normalizer: {
        type: "BertNormalizer",
        clean_text: true,
        handle_chinese_chars: true,
        strip_accents: null,
        lowercase: true,
      },
      pre_tokenizer: { type: "BertPreTokenizer" },
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      added_tokens: ["[UNK]", "[SEP]", "[CLS]", "[PAD]", "[MASK]"].map((token) =>
        special(vocab[token] as number, token),
      ),
    },
  };
}

const sources: [string, string[], (paths: string[]) => TokenizerSource][] = [
  ["llama3", ["llama3_tokenizer.json"], ([path]) => ({ tokenizerJson: path as string })],
  ["llama2", ["llama2_32k_tokenizer.model"], ([path]) => ({ gguf: sentencePieceMetadata(path as string) })],
  ["gpt2", ["gpt2_vocab.json", "gpt2_merges.txt"], gpt2],
  ["bert", ["bert-base-uncased.vocab.txt"], bert],
];

describe("parity with the Rust tokenizers on 1,000 mixed lines", () => {
  for (const [name, files, make] of sources) {
    const paths = findAssets(...files.map((file) => `tokenizers/${file}`));
    const test = paths === null ? it.skip : it;
    const reason = paths === null ? ` (skipped: ${files.join(" and ")} not in the assets folder)` : "";
    test(`${name}${reason}`, async () => {
      await using tokenizer = await loadTokenizer(make(paths as string[]));
      expect(await differences(tokenizer, name)).toEqual([]);
    });
  }

  it("the comparison sees one wrong id", () => {
    expect(hashOf(Int32Array.of(1, 2, 3))).not.toBe(hashOf(Int32Array.of(1, 2, 4)));
  });
});
