// Writes a Llama of random bf16 weights as a Hugging Face directory: a model of any size to measure speed with.
//   node bench/random-llama.mjs DIR [--hidden 2048 --layers 16 --heads 32 --kv-heads 8 --ffn 5632 --vocab 32000]
// The defaults are the 852.6 M parameters of the speed targets. Needs no build.
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

const defaults = { hidden: "2048", layers: "16", heads: "32", "kv-heads": "8", ffn: "5632", vocab: "32000" };
const options = Object.fromEntries(
  Object.entries(defaults).map(([name, value]) => [name, { type: "string", default: value }]),
);
const { values, positionals } = parseArgs({ allowPositionals: true, options });
const [directory] = positionals;
if (directory === undefined) throw new Error("usage: node bench/random-llama.mjs DIR [--hidden N ...]");
const size = Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]));

function shapes() {
  const { hidden, ffn, vocab, layers } = size;
  const kv = (size["kv-heads"] * hidden) / size.heads;
  const out = { "model.embed_tokens.weight": [vocab, hidden] };
  for (let layer = 0; layer < layers; ++layer) {
    const at = `model.layers.${layer}`;
    Object.assign(out, {
      [`${at}.input_layernorm.weight`]: [hidden],
      [`${at}.self_attn.q_proj.weight`]: [hidden, hidden],
      [`${at}.self_attn.k_proj.weight`]: [kv, hidden],
      [`${at}.self_attn.v_proj.weight`]: [kv, hidden],
      [`${at}.self_attn.o_proj.weight`]: [hidden, hidden],
      [`${at}.post_attention_layernorm.weight`]: [hidden],
      [`${at}.mlp.gate_proj.weight`]: [ffn, hidden],
      [`${at}.mlp.up_proj.weight`]: [ffn, hidden],
      [`${at}.mlp.down_proj.weight`]: [hidden, ffn],
    });
  }
  return { ...out, "model.norm.weight": [hidden], "lm_head.weight": [vocab, hidden] };
}

/** A block of random bf16 values within about ±0.04, and one of ones for the norms. */
const BLOCK = 1 << 20;
let state = 12345;
const noise = Uint16Array.from({ length: BLOCK }, () => {
  state = (Math.imul(state, 1103515245) + 12345) >>> 0;
  return ((state >>> 16) & 0x8000) | (0x3c00 + ((state >>> 10) % 0x120));
});
const ones = new Uint16Array(BLOCK).fill(0x3f80);

mkdirSync(directory, { recursive: true });
const header = {};
let offset = 0;
for (const [name, shape] of Object.entries(shapes())) {
  const bytes = 2 * shape.reduce((product, n) => product * n, 1);
  header[name] = { dtype: "BF16", shape, data_offsets: [offset, offset + bytes] };
  offset += bytes;
}
const text = Buffer.from(JSON.stringify(header));
const file = openSync(join(directory, "model.safetensors"), "w");
const length = Buffer.alloc(8);
length.writeBigUInt64LE(BigInt(text.length));
writeSync(file, length);
writeSync(file, text);
for (const [name, { shape, data_offsets }] of Object.entries(header)) {
  const source = shape.length === 1 ? ones : noise;
  let left = (data_offsets[1] - data_offsets[0]) / 2;
  // Every tensor starts somewhere else in the block.
  for (let at = (name.length * 7919) % 4096; left > 0; at = 0) {
    const count = Math.min(left, BLOCK - at);
    writeSync(file, Buffer.from(source.buffer, 2 * at, 2 * count));
    left -= count;
  }
}
closeSync(file);
const config = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  vocab_size: size.vocab,
  hidden_size: size.hidden,
  intermediate_size: size.ffn,
  num_hidden_layers: size.layers,
  num_attention_heads: size.heads,
  num_key_value_heads: size["kv-heads"],
  max_position_embeddings: 4096,
  rms_norm_eps: 1e-5,
  rope_theta: 10000.0,
  tie_word_embeddings: false,
  torch_dtype: "bfloat16",
  bos_token_id: 1,
  eos_token_id: 2,
  hidden_act: "silu",
};
writeFileSync(join(directory, "config.json"), JSON.stringify(config, null, 2));
console.log(`${directory}: ${(offset / 2e6).toFixed(1)} M parameters`);
