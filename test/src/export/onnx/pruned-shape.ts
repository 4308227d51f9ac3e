/** The model of test/oracles/onnx_logits.py whose head_dim is not hidden_size / heads, byte for byte. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expectedTensors } from "../../../../src/model/families.js";
import { specFromConfig } from "../../../../src/model/hf-config.js";
import { safetensorsBytes, type TensorBytes } from "../../../model-files.js";

const config = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: 101,
  hidden_size: 96,
  intermediate_size: 160,
  num_hidden_layers: 2,
  num_attention_heads: 6,
  num_key_value_heads: 2,
  head_dim: 32,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  attention_bias: true,
  mlp_bias: true,
  tie_word_embeddings: false,
};

export function writePrunedShape(directory: string): string {
  const expected = expectedTensors(specFromConfig(config, "pruned shape")).sort((a, b) => (a.name < b.name ? -1 : 1));
  const tensors = expected.map(({ name, shape }, index): TensorBytes => {
    const count = shape.reduce((product, size) => product * size, 1);
    const valueOf = (i: number): number => {
      const value = spread(index, i);
      return shape.length === 2 ? (value * 5) / Math.sqrt(shape[1]!) : value * 0.25 + (name.includes("norm") ? 1 : 0);
    };
    const values = Float32Array.from({ length: count }, (_, i) => valueOf(i));
    return { name, dtype: "F32", shape, bytes: Buffer.from(values.buffer) };
  });
  mkdirSync(directory);
  writeFileSync(join(directory, "config.json"), JSON.stringify(config));
  writeFileSync(join(directory, "model.safetensors"), safetensorsBytes(tensors));
  return directory;
}

/** In [-0.5, 0.5). */
function spread(tensor: number, i: number): number {
  let x = Math.imul(i + 1, 0x9e3779b1) ^ Math.imul(tensor + 1, 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 15), 0xc2b2ae35);
  return ((x ^ (x >>> 13)) >>> 0) / 2 ** 32 - 0.5;
}
