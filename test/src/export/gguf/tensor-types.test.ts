import { ggufFileType, ggufFileTypes, tensorTypeOf } from "../../../../src/export/gguf/tensor-types.js";
import { expectedTensors } from "../../../../src/model/families.js";
import { specFromConfig } from "../../../../src/model/hf-config.js";
import { coded, tinyConfig, type Json } from "../../../model-files.js";

/** GGUF names by type, as llama-quantize of llama.cpp (node-llama-cpp 3.22.1) chose them for the same shapes. */
function typesOf(config: Json, id: string, pure = false): Record<string, string[]> {
  const spec = specFromConfig({ ...tinyConfig, ...config }, "test");
  const out: Record<string, string[]> = {};
  for (const tensor of expectedTensors(spec))
    (out[tensorTypeOf(tensor, spec, ggufFileType(id), pure).type] ??= []).push(tensor.ggufName);
  return out;
}

const wide = { hidden_size: 256, intermediate_size: 512, vocab_size: 64, num_hidden_layers: 6 };
const sizes = (types: Record<string, string[]>): Record<string, number> =>
  Object.fromEntries(Object.entries(types).map(([type, names]) => [type, names.length]));

it("gives the tensors that matter more bits, as Q4_K_M and Q5_K_M", () => {
  for (const id of ["q4_k", "q5_k"]) {
    const types = typesOf(wide, id);
    expect(types["q6_k"]!.sort()).toEqual([
      "blk.2.attn_v.weight",
      "blk.2.ffn_down.weight",
      "blk.5.attn_v.weight",
      "blk.5.ffn_down.weight",
      "token_embd.weight",
    ]);
    expect(sizes(types)).toEqual({ f32: 13, q6_k: 5, [id]: 38 });
  }
  expect(typesOf({ ...wide, num_hidden_layers: 16 }, "q4_k")["q6_k"]).toHaveLength(2 * 8 + 1);
});

it("counts an untied output, not the embedding, as what makes logits", () => {
  const types = typesOf({ ...wide, tie_word_embeddings: false }, "q4_0");
  expect(types["q6_k"]).toEqual(["output.weight"]);
  expect(types["q4_0"]).toContain("token_embd.weight");
});

it("falls back where rows are no multiple of the block", () => {
  const smol = {
    hidden_size: 576,
    intermediate_size: 1536,
    num_hidden_layers: 30,
    num_attention_heads: 9,
    num_key_value_heads: 3,
  };
  expect(sizes(typesOf(smol, "q4_k"))).toEqual({ f32: 61, q8_0: 15, q5_0: 166, q6_k: 14, q4_k: 16 });
  expect(Object.keys(typesOf(smol, "q5_k")).sort()).toEqual(["f32", "q5_1", "q5_k", "q6_k", "q8_0"]);
  expect(sizes(typesOf(smol, "q4_0"))).toEqual({ f32: 61, q8_0: 1, q4_0: 210 });
  // A head dimension of 6 gives o_proj rows of 24.
  expect(typesOf({ head_dim: 6 }, "q8_0")["f16"]).toEqual(["blk.0.attn_output.weight"]);
});

it("keeps one type for all when pure, and norms and biases in f32 always", () => {
  expect(sizes(typesOf(wide, "q4_k", true))).toEqual({ f32: 13, q4_k: 43 });
  for (const { id } of ggufFileTypes)
    expect(typesOf({ ...wide, attention_bias: true }, id)["f32"]).toEqual(
      expect.arrayContaining(["blk.0.attn_q.bias", "blk.0.attn_norm.weight", "output_norm.weight"]),
    );
});

it("names the nearest type", () => {
  expect(() => ggufFileType("q4_K")).toThrow(coded("ERR_ARGUMENT", "q6_k", "q4_K", 'nearest is "q4_k"'));
});
