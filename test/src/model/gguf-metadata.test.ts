import { decimalOf, specFromGguf } from "../../../src/model/gguf-metadata.js";
import type { ModelSpec } from "../../../src/model/spec.js";
import { coded } from "../../model-files.js";

const base: Record<string, unknown> = {
  "general.architecture": "llama",
  "llama.context_length": 64,
  "llama.embedding_length": 32,
  "llama.block_count": 3,
  "llama.feed_forward_length": 48,
  "llama.attention.head_count": 4,
  "llama.attention.layer_norm_rms_epsilon": Math.fround(1e-5),
  "llama.vocab_size": 100,
};

function specOf(
  change: Record<string, unknown> = {},
  names: string[] = ["output.weight"],
  ropeFactors?: number[],
): ModelSpec {
  const merged = Object.entries({ ...base, ...change }).filter(([, value]) => value !== undefined);
  const tensors = { has: (name: string) => names.includes(name), rows: () => undefined, ropeFactors };
  return specFromGguf(new Map(merged), tensors, "m.gguf");
}

it("float32 values become the decimals that were meant", () => {
  for (const value of [1e-5, 1e-6, 0.1, 1.3, 1e6, 500000, 10000, 1 / 3]) {
    const back = decimalOf(Math.fround(value));
    expect(Math.fround(back)).toBe(Math.fround(value));
    if (value !== 1 / 3) expect(back).toBe(value);
  }
  expect(decimalOf(0.1)).toBe(0.1);
});

it("reads the keys llama files have", () => {
  expect(specOf()).toMatchObject({
    numHeads: 4,
    numKvHeads: 4,
    headDim: 8,
    normEps: 1e-5,
    tieWordEmbeddings: false,
    rope: { type: "default", theta: 10000, rotaryDim: 8 },
    bosTokenId: null,
    eosTokenIds: [],
  });
  const more = {
    "llama.attention.head_count_kv": [2, 2, 2],
    "llama.attention.key_length": 16,
    "llama.attention.value_length": 16,
    "llama.rope.dimension_count": 16,
    "tokenizer.ggml.eos_token_id": 9,
    "tokenizer.ggml.eot_token_id": 8,
  };
  expect(specOf(more, [])).toMatchObject({ numKvHeads: 2, headDim: 16, eosTokenIds: [9, 8], tieWordEmbeddings: true });
});

it("finds biases among the tensors and the vocabulary among the tokens", () => {
  const names = ["blk.0.attn_q.bias", "blk.0.attn_output.bias", "blk.0.ffn_up.bias"];
  expect(specOf({}, names)).toMatchObject({ attentionBias: true, attentionOutBias: true, mlpBias: true });
  const tokens = { "llama.vocab_size": undefined, "tokenizer.ggml.tokens": ["a", "b"] };
  expect(specOf(tokens).vocabSize).toBe(2);
});

it("reads rotary scaling", () => {
  const linear = { "llama.rope.scaling.type": "linear", "llama.rope.scaling.factor": 4 };
  expect(specOf(linear).rope).toMatchObject({ type: "linear", factor: 4 });
  expect(specOf({ "llama.rope.scale_linear": 2 }).rope).toMatchObject({ type: "linear", factor: 2 });
  const yarn = {
    "llama.rope.scaling.type": "yarn",
    "llama.rope.scaling.factor": 4,
    "llama.rope.scaling.original_context_length": 16,
    "llama.rope.scaling.yarn_beta_fast": 16,
  };
  expect(specOf(yarn).rope).toEqual({
    type: "yarn",
    theta: 10000,
    factor: 4,
    originalMaxPositions: 16,
    betaFast: 16,
    rotaryDim: 8,
    interleaved: false,
  });
  expect(specOf({ ...yarn, "llama.rope.scaling.attn_factor": 2 }).rope.attentionFactor).toBeCloseTo(2.27726, 5);
  expect(specOf({}, [], [2, 2, 2, 2]).rope).toMatchObject({ type: "linear", factor: 2 });
});

const refused: [string, Record<string, unknown>, string, string[]][] = [
  ["no architecture", { "general.architecture": undefined }, "ERR_MODEL_FAMILY", ["general.architecture", "llama"]],
  ["another architecture", { "general.architecture": "bert" }, "ERR_MODEL_FAMILY", ['"bert"', "llama"]],
  ["experts", { "llama.expert_count": 8 }, "ERR_MODEL_FAMILY", ["experts"]],
  ["a missing key", { "llama.block_count": undefined }, "ERR_GGUF_METADATA", ["llama.block_count", "nothing"]],
  ["a text for a number", { "llama.block_count": "3" }, "ERR_GGUF_METADATA", ["llama.block_count", '"3"']],
  ["NaN", { "llama.rope.freq_base": NaN }, "ERR_GGUF_METADATA", ["rope.freq_base"]],
  ["a negative theta", { "llama.rope.freq_base": -1 }, "ERR_MODEL_ROPE", ["rope.freq_base", "-1"]],
  ["layers that differ", { "llama.attention.head_count_kv": [4, 2, 4] }, "ERR_GGUF_METADATA", ["every layer"]],
  ["no heads", { "llama.attention.head_count": 0 }, "ERR_MODEL_CONFIG", ["numHeads"]],
  ["a fraction", { "llama.embedding_length": 32.5 }, "ERR_MODEL_CONFIG", ["hiddenSize"]],
  ["an absurd size", { "llama.block_count": 2 ** 31 }, "ERR_MODEL_CONFIG", ["numLayers"]],
  [
    "a big integer",
    { "llama.block_count": 2n ** 60n },
    "ERR_GGUF_METADATA",
    ["llama.block_count", "1152921504606846976"],
  ],
  ["partial rotation", { "llama.rope.dimension_count": 4 }, "ERR_MODEL_CONFIG", ["rotary dimension 4"]],
  ["another value length", { "llama.attention.value_length": 4 }, "ERR_GGUF_METADATA", ["value_length"]],
  ["a sliding window", { "llama.attention.sliding_window": 16 }, "ERR_GGUF_METADATA", ["sliding_window"]],
  ["long rope", { "llama.rope.scaling.type": "longrope" }, "ERR_MODEL_ROPE", ["longrope"]],
];
it.each(refused)("refuses %s", (_, change, code, parts) => {
  expect(() => specOf(change)).toThrow(coded(code, "m.gguf", ...parts));
});

it("refuses rotary factors of another length, or beside another scaling", () => {
  expect(() => specOf({}, [], [1, 1])).toThrow(coded("ERR_MODEL_ROPE", "expected 4 factors, found 2"));
  const linear = { "llama.rope.scaling.type": "linear" };
  expect(() => specOf(linear, [], [1, 1, 1, 1])).toThrow(coded("ERR_MODEL_ROPE", "together"));
});
