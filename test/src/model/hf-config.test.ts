import { configFromSpec, specFromConfig } from "../../../src/model/hf-config.js";
import type { ModelSpec } from "../../../src/model/spec.js";
import { coded, tinyConfig, type Json } from "../../model-files.js";

const where = "some/config.json";
const specOf = (change: Json = {}, generation?: Json): ModelSpec =>
  specFromConfig({ ...tinyConfig, ...change }, where, generation);

describe("specFromConfig", () => {
  it("fills in what transformers assumes", () => {
    expect(specOf({ num_key_value_heads: null, max_position_embeddings: undefined, rms_norm_eps: null })).toEqual({
      family: "llama",
      vocabSize: 32,
      hiddenSize: 32,
      intermediateSize: 32,
      numLayers: 1,
      numHeads: 4,
      numKvHeads: 4,
      headDim: 8,
      maxPositions: 2048,
      normEps: 1e-6,
      hiddenAct: "silu",
      tieWordEmbeddings: true,
      attentionBias: false,
      attentionOutBias: false,
      mlpBias: false,
      rope: { type: "default", theta: 10000, rotaryDim: 8, interleaved: false },
      bosTokenId: 1,
      eosTokenIds: [2],
      padTokenId: null,
    });
  });

  it("takes token ids from generation_config.json first", () => {
    const spec = specOf({ eos_token_id: 7, bos_token_id: null, pad_token_id: -1 }, { eos_token_id: [8, 9] });
    expect(spec).toMatchObject({ bosTokenId: null, eosTokenIds: [8, 9], padTokenId: null });
    expect(specOf({ eos_token_id: null }).eosTokenIds).toEqual([]);
  });

  it("finds the family by model_type when architectures are missing", () => {
    expect(specOf({ architectures: null, model_type: "llama" }).family).toBe("llama");
  });

  it("reads Mistral without a sliding window", () => {
    const mistral = { architectures: ["MistralForCausalLM"], model_type: "mistral" };
    expect(specOf({ ...mistral, sliding_window: null }).family).toBe("mistral");
    expect(specOf({ ...mistral, sliding_window: 64 }).family).toBe("mistral");
    expect(() => specOf({ ...mistral, sliding_window: 32 })).toThrow(coded("ERR_MODEL_CONFIG", "sliding_window"));
  });

  it("reads rotary parameters as transformers 4 and as 5 write them", () => {
    const llama3 = { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 16 };
    const expected = {
      type: "llama3",
      theta: 5e5,
      factor: 8,
      lowFreqFactor: 1,
      highFreqFactor: 4,
      originalMaxPositions: 16,
      rotaryDim: 8,
      interleaved: false,
    };
    expect(specOf({ rope_theta: 5e5, rope_scaling: { rope_type: "llama3", ...llama3 } }).rope).toEqual(expected);
    const five = { rope_theta: undefined, rope_parameters: { rope_type: "llama3", rope_theta: 5e5, ...llama3 } };
    expect(specOf(five).rope).toEqual(expected);
    expect(specOf({ rope_scaling: { type: "linear", factor: 2 } }).rope).toMatchObject({ type: "linear", factor: 2 });
  });

  it("gives yarn its defaults", () => {
    const rope = { rope_type: "yarn", original_max_position_embeddings: 16, truncate: false };
    expect(specOf({ rope_scaling: rope }).rope).toMatchObject({ type: "yarn", factor: 4, truncate: false });
  });

  const refused: [string, Json, string, string[]][] = [
    [
      "another family",
      { architectures: ["GPT2LMHeadModel"] },
      "ERR_MODEL_FAMILY",
      ["GPT2LMHeadModel", "LlamaForCausalLM"],
    ],
    ["no family", { architectures: null, model_type: null }, "ERR_MODEL_FAMILY", ["known are llama"]],
    ["a missing field", { hidden_size: undefined }, "ERR_MODEL_CONFIG", ["hidden_size", "number", "nothing"]],
    ["a text for a number", { num_hidden_layers: "2" }, "ERR_MODEL_CONFIG", ["num_hidden_layers", "number", '"2"']],
    ["zero layers", { num_hidden_layers: 0 }, "ERR_MODEL_CONFIG", ["num_hidden_layers", "0"]],
    ["a negative size", { vocab_size: -5 }, "ERR_MODEL_CONFIG", ["vocab_size", "-5"]],
    ["a fraction", { intermediate_size: 1.5 }, "ERR_MODEL_CONFIG", ["intermediate_size", "1.5"]],
    ["an absurd size", { vocab_size: 1e12 }, "ERR_MODEL_CONFIG", ["vocabSize", "1000000000000"]],
    ["an absurd number of layers", { num_hidden_layers: 1e6 }, "ERR_MODEL_CONFIG", ["numLayers"]],
    ["heads that do not divide", { num_key_value_heads: 3 }, "ERR_MODEL_CONFIG", ["4 attention heads", "3"]],
    [
      "a head dimension that is not whole",
      { num_attention_heads: 3 },
      "ERR_MODEL_CONFIG",
      ["num_attention_heads", "head_dim"],
    ],
    ["an odd head dimension", { head_dim: 7 }, "ERR_MODEL_CONFIG", ["head dimension 7"]],
    ["another activation", { hidden_act: "gelu" }, "ERR_MODEL_CONFIG", ["hidden_act", "gelu"]],
    ["an epsilon of 0", { rms_norm_eps: 0 }, "ERR_MODEL_CONFIG", ["rms_norm_eps"]],
    ["a token id that is none", { eos_token_id: "2" }, "ERR_MODEL_CONFIG", ["eos_token_id", '"2"']],
    ["an unknown rotary type", { rope_scaling: { rope_type: "longrope" } }, "ERR_MODEL_ROPE", ["longrope", "llama3"]],
    [
      "a missing rotary field",
      { rope_scaling: { rope_type: "llama3", factor: 2 } },
      "ERR_MODEL_ROPE",
      ["low_freq_factor"],
    ],
    [
      "a rotary factor of 0",
      { rope_scaling: { rope_type: "linear", factor: 0 } },
      "ERR_MODEL_ROPE",
      ["rope.factor", "0"],
    ],
    [
      "rotary parameters per layer type",
      { rope_parameters: { full_attention: { rope_type: "default" } } },
      "ERR_MODEL_ROPE",
      ["per layer type"],
    ],
    [
      "partial rotation",
      { rope_scaling: { rope_type: "default", partial_rotary_factor: 0.5 } },
      "ERR_MODEL_ROPE",
      ["0.5"],
    ],
    ["a negative theta", { rope_theta: -1 }, "ERR_MODEL_CONFIG", ["rope_theta", "-1"]],
  ];
  it.each(refused)("refuses %s", (_, change, code, parts) => {
    expect(() => specOf(change)).toThrow(coded(code, where, ...parts));
  });

  it.each([null, [], 7, "text"])("refuses %j", (raw) => {
    expect(() => specFromConfig(raw, where)).toThrow(coded("ERR_MODEL_CONFIG", where));
  });
});

describe("configFromSpec", () => {
  const ropes: Json[] = [
    {},
    { rope_scaling: { rope_type: "linear", factor: 2.5 } },
    { rope_scaling: { rope_type: "dynamic", factor: 2 } },
    {
      rope_scaling: {
        rope_type: "yarn",
        factor: 4,
        original_max_position_embeddings: 16,
        mscale: 1,
        mscale_all_dim: 0.5,
      },
    },
    {
      rope_scaling: {
        rope_type: "llama3",
        factor: 8,
        low_freq_factor: 1,
        high_freq_factor: 4,
        original_max_position_embeddings: 16,
      },
    },
    { attention_bias: true, mlp_bias: true, head_dim: 12, eos_token_id: [3, 4], tie_word_embeddings: false },
    { eos_token_id: null, bos_token_id: null, pad_token_id: 5 },
  ];
  it.each(ropes)("gives the same spec back: %j", (change) => {
    const spec = specOf(change);
    expect(specFromConfig(configFromSpec(spec, "float32"), where)).toEqual(spec);
  });

  it("refuses biases that config.json cannot say", () => {
    expect(() => configFromSpec({ ...specOf(), attentionBias: true }, "float32")).toThrow(
      coded("ERR_MODEL_CONFIG", "attention_bias"),
    );
  });
});
