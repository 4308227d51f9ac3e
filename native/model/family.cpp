// SPDX-License-Identifier: Apache-2.0
#include "model/family.h"

namespace espalier {
namespace {

constexpr Dim kOne = Dim::kNone;  // the missing second dimension of a vector

TensorPattern norm(const char* role, const char* name, const char* gguf) {
  return {role, "weight", name, gguf, Dim::kHidden, kOne, When::kAlways, GgufRows::kAsIs, false};
}

TensorPattern linear(const char* role, const char* name, const char* gguf, Dim rows, Dim cols,
                     GgufRows gguf_rows = GgufRows::kAsIs) {
  return {role, "weight", name, gguf, rows, cols, When::kAlways, gguf_rows, true};
}

TensorPattern bias(const char* role, const char* name, const char* gguf, Dim rows, When when,
                   GgufRows gguf_rows = GgufRows::kAsIs) {
  return {role, "bias", name, gguf, rows, kOne, when, gguf_rows, true};
}

#define LAYER "model.layers.{layer}."
#define BLOCK "blk.{layer}."

// A pre-norm decoder with rotary attention and a gated feed-forward layer: Llama and what copies it.
std::vector<TensorPattern> llama_tensors() {
  constexpr Dim hidden = Dim::kHidden, ffn = Dim::kFfn, heads = Dim::kHeads, kv_heads = Dim::kKvHeads;
  return {
      {"embed_tokens", "weight", "model.embed_tokens.weight", "token_embd.weight", Dim::kVocab, hidden, When::kAlways,
       GgufRows::kAsIs, false},
      norm("input_layernorm", LAYER "input_layernorm.weight", BLOCK "attn_norm.weight"),
      linear("q_proj", LAYER "self_attn.q_proj.weight", BLOCK "attn_q.weight", heads, hidden, GgufRows::kPermutedHeads),
      bias("q_proj", LAYER "self_attn.q_proj.bias", BLOCK "attn_q.bias", heads, When::kAttentionBias,
           GgufRows::kPermutedHeads),
      linear("k_proj", LAYER "self_attn.k_proj.weight", BLOCK "attn_k.weight", kv_heads, hidden,
             GgufRows::kPermutedKvHeads),
      bias("k_proj", LAYER "self_attn.k_proj.bias", BLOCK "attn_k.bias", kv_heads, When::kAttentionBias,
           GgufRows::kPermutedKvHeads),
      linear("v_proj", LAYER "self_attn.v_proj.weight", BLOCK "attn_v.weight", kv_heads, hidden),
      bias("v_proj", LAYER "self_attn.v_proj.bias", BLOCK "attn_v.bias", kv_heads, When::kAttentionBias),
      linear("o_proj", LAYER "self_attn.o_proj.weight", BLOCK "attn_output.weight", hidden, heads),
      bias("o_proj", LAYER "self_attn.o_proj.bias", BLOCK "attn_output.bias", hidden, When::kAttentionOutBias),
      norm("post_attention_layernorm", LAYER "post_attention_layernorm.weight", BLOCK "ffn_norm.weight"),
      linear("gate_proj", LAYER "mlp.gate_proj.weight", BLOCK "ffn_gate.weight", ffn, hidden),
      bias("gate_proj", LAYER "mlp.gate_proj.bias", BLOCK "ffn_gate.bias", ffn, When::kMlpBias),
      linear("up_proj", LAYER "mlp.up_proj.weight", BLOCK "ffn_up.weight", ffn, hidden),
      bias("up_proj", LAYER "mlp.up_proj.bias", BLOCK "ffn_up.bias", ffn, When::kMlpBias),
      linear("down_proj", LAYER "mlp.down_proj.weight", BLOCK "ffn_down.weight", hidden, ffn),
      bias("down_proj", LAYER "mlp.down_proj.bias", BLOCK "ffn_down.bias", hidden, When::kMlpBias),
      norm("norm", "model.norm.weight", "output_norm.weight"),
      {"lm_head", "weight", "lm_head.weight", "output.weight", Dim::kVocab, hidden, When::kUntied, GgufRows::kAsIs,
       true},
  };
}

std::vector<const char*> llama_ignorable() {
  return {LAYER "self_attn.rotary_emb.inv_freq", "model.rotary_emb.inv_freq", "rope_freqs.weight",
          BLOCK "attn_rot_embd.weight"};
}

}  // namespace

const std::vector<Family>& families() {
  // Never destroyed: an engine's or trainer's thread may run on while the process exits.
  static const auto& table = *new std::vector<Family>{
      {"llama", {"LlamaForCausalLM"}, {"llama"}, "llama", 0, 2048, llama_tensors(), llama_ignorable()},
      {"mistral", {"MistralForCausalLM"}, {"mistral"}, nullptr, 8, 131072, llama_tensors(), llama_ignorable()},
  };
  return table;
}

const Family* find_family(const std::string& id) {
  for (const Family& family : families())
    if (id == family.id) return &family;
  return nullptr;
}

const char* dim_name(Dim dim) {
  switch (dim) {
    case Dim::kVocab:
      return "vocab";
    case Dim::kHidden:
      return "hidden";
    case Dim::kFfn:
      return "ffn";
    case Dim::kHeads:
      return "heads";
    case Dim::kKvHeads:
      return "kvHeads";
    case Dim::kNone:
      break;
  }
  return "none";
}

const char* when_name(When when) {
  switch (when) {
    case When::kUntied:
      return "untied";
    case When::kAttentionBias:
      return "attentionBias";
    case When::kAttentionOutBias:
      return "attentionOutBias";
    case When::kMlpBias:
      return "mlpBias";
    case When::kAlways:
      break;
  }
  return "always";
}

const char* gguf_rows_name(GgufRows rows) {
  switch (rows) {
    case GgufRows::kPermutedHeads:
      return "permutedHeads";
    case GgufRows::kPermutedKvHeads:
      return "permutedKvHeads";
    case GgufRows::kAsIs:
      break;
  }
  return "asIs";
}

}  // namespace espalier
