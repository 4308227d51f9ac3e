import { expectedTensors, families, familyOf, ignorableNames } from "../../../src/model/families.js";
import { specFromConfig } from "../../../src/model/hf-config.js";
import { coded, tinyConfig, type Json } from "../../model-files.js";

const expand = (change: Json = {}): ReturnType<typeof expectedTensors> =>
  expectedTensors(specFromConfig({ ...tinyConfig, ...change }, "test"));

const ROLES = [
  "embed_tokens",
  "input_layernorm",
  "q_proj",
  "k_proj",
  "v_proj",
  "o_proj",
  "post_attention_layernorm",
  "gate_proj",
  "up_proj",
  "down_proj",
  "norm",
  "lm_head",
];

it("every family names every role in the field's words", () => {
  for (const family of families()) expect([...new Set(family.tensors.map((row) => row.role))]).toEqual(ROLES);
  expect(() => familyOf("gpt2")).toThrow(coded("ERR_MODEL_FAMILY", "gpt2", "llama"));
});

it("names and shapes follow the spec", () => {
  const tensors = expand({ num_hidden_layers: 2, head_dim: 6, intermediate_size: 50 });
  expect(tensors).toHaveLength(1 + 2 * 9 + 1);
  expect(tensors[0]).toMatchObject({ role: "embed_tokens", layer: null, shape: [32, 32], linear: false });
  expect(tensors.at(-1)).toMatchObject({ role: "norm", name: "model.norm.weight", shape: [32] });
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  expect(byName.get("model.layers.1.self_attn.k_proj.weight")).toEqual({
    role: "k_proj",
    part: "weight",
    layer: 1,
    name: "model.layers.1.self_attn.k_proj.weight",
    ggufName: "blk.1.attn_k.weight",
    shape: [12, 32],
    dims: ["kvHeads", "hidden"],
    linear: true,
    ggufPermuteHeads: 2,
  });
  expect(byName.get("model.layers.0.self_attn.o_proj.weight")?.shape).toEqual([32, 24]);
  expect(byName.get("model.layers.0.mlp.down_proj.weight")?.shape).toEqual([32, 50]);
});

it("biases and an untied head are switches", () => {
  const names = expand({ attention_bias: true, mlp_bias: true, tie_word_embeddings: false }).map(({ name }) => name);
  expect(names.filter((name) => name.endsWith(".bias"))).toHaveLength(7);
  expect(names.at(-1)).toBe("lm_head.weight");
  expect(new Set(names).size).toBe(names.length);
});

it("a tied model may carry a head, any model its rotary frequencies", () => {
  const ignorable = ignorableNames(specFromConfig(tinyConfig, "test"));
  expect(ignorable.has("lm_head.weight")).toBe(true);
  expect(ignorable.has("model.layers.0.self_attn.rotary_emb.inv_freq")).toBe(true);
  const untied = specFromConfig({ ...tinyConfig, tie_word_embeddings: false }, "test");
  expect(ignorableNames(untied).has("lm_head.weight")).toBe(false);
});
