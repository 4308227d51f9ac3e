// Model families as data: what each tensor is called, its shape and role. Everything that needs a name or a shape
// expands this table for a model; nothing else knows families.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace espalier {

// A dimension by what it means. kHeads = num_heads * head_dim, kKvHeads = num_kv_heads * head_dim.
enum class Dim : int32_t { kNone, kVocab, kHidden, kFfn, kHeads, kKvHeads };

// Which models have the tensor.
enum class When : int32_t { kAlways, kUntied, kAttentionBias, kAttentionOutBias, kMlpBias };

// Rows that a GGUF file keeps with the rotary halves of each head interleaved.
enum class GgufRows : int32_t { kAsIs, kPermutedHeads, kPermutedKvHeads };

struct TensorPattern {
  const char* role;  // "q_proj"
  const char* part;  // "weight" or "bias"
  const char* name;  // Hugging Face, with {layer}
  const char* gguf;  // GGUF, with {layer}
  Dim rows;
  Dim cols;  // kNone: a vector [rows]
  When when;
  GgufRows gguf_rows;
  bool linear;  // the weight (or bias) of a linear layer, which may be quantized; embeddings and norms are not
};

struct Family {
  const char* id;
  std::vector<const char*> architectures;  // of config.json
  std::vector<const char*> model_types;    // of config.json
  const char* gguf_architecture;           // general.architecture; nullptr when another family stands for it
  // What transformers assumes when config.json leaves it out; 0 kv heads: as many as heads.
  int32_t default_kv_heads;
  int32_t default_max_positions;
  std::vector<TensorPattern> tensors;
  // Names (with {layer}) some files carry that can be computed from the config and are not needed.
  std::vector<const char*> ignorable;
};

const std::vector<Family>& families();
// nullptr when unknown.
const Family* find_family(const std::string& id);

const char* dim_name(Dim dim);
const char* when_name(When when);
const char* gguf_rows_name(GgufRows rows);

}  // namespace espalier
