/**
 * SmolLM2-135M-Instruct end to end against transformers in float32 (test/oracles/smollm2.py). Runs by
 * `npm run test:models`, which fetches the model first.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import {
  buildEngine,
  Engine,
  evaluatePerplexity,
  exportHuggingFace,
  openCheckpoint,
  pull,
  type ChatMessage,
  type Tokenizer,
} from "../../src/index.js";
import { tokenizerFromCheckpoint, tokenizerFromFiles, writeTokenizerFiles } from "../../src/tokenizer/index.js";
import { differences } from "../tokenizer-parity.js";
import { temporaryDirectory } from "../temporary.js";

interface Expected {
  ggufSha256: string;
  prompts: { prompt: string; ids: number[]; greedy: number[]; text: string }[];
  lastLogits: { id: number; logit: number }[][];
  chat: { messages: ChatMessage[]; rendered: string; ids: number[] };
  perplexity: {
    files: string[];
    textSha256: string;
    textTokens: number;
    idsSha256: string;
    window: number;
    windows: number;
    nll: number[];
    perplexity: number;
  };
}

const root = join(__dirname, "../..");
const expected = JSON.parse(readFileSync(join(root, "test/fixtures/smollm2/expected.json"), "utf8")) as Expected;
const text = expected.perplexity.files
  .map((file) => readFileSync(join(root, "node_modules/@stdlib", file), "utf8"))
  .join("\n");

jest.setTimeout(600_000);

const sha256 = (data: Buffer | string): string => createHash("sha256").update(data).digest("hex");
const bytesOf = (ids: Int32Array): Buffer => Buffer.from(ids.buffer, ids.byteOffset, ids.byteLength);

let gguf: string;
beforeAll(async () => {
  gguf = (await pull("smollm2", { onMessage: (message) => process.stderr.write(`${message}\n`) })).path;
});

it("is the file the oracle read", () => {
  expect(sha256(readFileSync(gguf))).toBe(expected.ggufSha256);
  expect(sha256(text)).toBe(expected.perplexity.textSha256);
});

describe("tokenizer", () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    await using checkpoint = await openCheckpoint(gguf);
    tokenizer = (await tokenizerFromCheckpoint(checkpoint)) as Tokenizer;
  });
  afterAll(() => tokenizer.dispose());

  it("gives the Rust tokenizers' ids on 1,000 mixed lines, and their text back", async () => {
    expect(await differences(tokenizer, "smollm2")).toEqual([]);
  });

  it("gives the same ids for a long text", async () => {
    const ids = await tokenizer.encode(text);
    expect(ids).toHaveLength(expected.perplexity.textTokens);
    expect(sha256(bytesOf(ids))).toBe(expected.perplexity.idsSha256);
    expect(await tokenizer.decode(ids)).toBe(text);
  });

  it("renders the chat as transformers does", async () => {
    const { messages, rendered, ids } = expected.chat;
    expect(await tokenizer.applyChatTemplate(messages)).toBe(rendered);
    expect([...(await tokenizer.encodeChat(messages))]).toEqual(ids);
  });

  it("survives the way through a Hugging Face directory", async () => {
    const folder = join(temporaryDirectory(), "hf");
    await using checkpoint = await openCheckpoint(gguf);
    const fill = (directory: string): Promise<void> => writeTokenizerFiles(checkpoint, directory);
    await exportHuggingFace(checkpoint, folder, { dtype: "bf16", fill });
    await using exported = (await tokenizerFromFiles(folder)) as Tokenizer;
    expect(await differences(exported, "smollm2")).toEqual([]);
    expect(exported).toMatchObject({ eosTokenIds: tokenizer.eosTokenIds, chatTemplate: tokenizer.chatTemplate });
  });
});

describe("engines", () => {
  const load = async (weights: string): Promise<Engine> => {
    const directory = join(temporaryDirectory(), weights);
    await buildEngine(gguf, directory, { weights });
    return Engine.load(directory, { contextTokens: 1024 });
  };
  const perplexityOf = async (engine: Engine): Promise<number> => {
    const { window, windows } = expected.perplexity;
    const report = await evaluatePerplexity(engine, { text, window, maxTokens: window * windows });
    expect(report).toMatchObject({ windows, tokens: windows * (window - 1) });
    process.stderr.write(
      `perplexity: transformers f32 ${expected.perplexity.perplexity.toFixed(3)}, ` +
        `${engine.directory.split("/").at(-1)} ${report.perplexity.toFixed(3)}\n`,
    );
    return report.perplexity;
  };

  describe("f32", () => {
    let engine: Engine;
    beforeAll(async () => {
      engine = await load("f32");
    });
    afterAll(() => engine.dispose());

    it.each(expected.prompts)(
      "continues $prompt greedily as transformers does",
      async ({ prompt, ids, greedy, ...want }) => {
        const generation = engine.generate({
          prompt,
          maxTokens: 32,
          temperature: 0,
          repetitionPenalty: 1,
          ignoreEos: true,
        });
        const result = await generation.result();
        expect(result.promptIds).toEqual(ids);
        expect(result.ids).toEqual(greedy);
        expect(await engine.tokenizer?.decode(result.ids, { skipSpecialTokens: false })).toBe(want.text);
      },
    );

    it("has transformers' logits", async () => {
      for (const [index, { ids }] of expected.prompts.entries()) {
        const [logits] = await engine.logits(ids);
        for (const { id, logit } of expected.lastLogits[index] ?? [])
          expect(Math.abs((logits?.[id] ?? NaN) - logit)).toBeLessThan(2e-3); // logits are about 15; float32 over 30 layers
      }
    });

    it("has transformers' perplexity within 0.1 %", async () => {
      const ratio = (await perplexityOf(engine)) / expected.perplexity.perplexity;
      expect(Math.abs(ratio - 1)).toBeLessThan(1e-3);
    });
  });

  it("int8-w8a8 keeps the perplexity within 3 %", async () => {
    await using engine = await load("int8-w8a8");
    const ratio = (await perplexityOf(engine)) / expected.perplexity.perplexity;
    expect(Math.abs(ratio - 1)).toBeLessThan(0.03);
  });
});
