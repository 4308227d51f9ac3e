// ModelSpec: the numbers and switches of one decoder, parsed from a model's config by the TypeScript layer.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "core/status.h"

namespace espalier {

enum class RopeType : int32_t { kDefault, kLinear, kDynamic, kLlama3, kYarn };

// Names and meaning as in transformers' rope_parameters; 0 = absent for the optional ones.
struct RopeSpec {
  RopeType type = RopeType::kDefault;
  double theta = 10000.0;
  double factor = 1.0;
  int64_t original_max_positions = 0;
  double low_freq_factor = 1.0, high_freq_factor = 4.0;  // llama3
  double attention_factor = 0.0;                         // yarn; 0 = from factor and mscale
  double beta_fast = 32.0, beta_slow = 1.0;              // yarn
  double mscale = 0.0, mscale_all_dim = 0.0;             // yarn
  bool truncate = true;                                  // yarn
  int64_t rotary_dim = 0;
  bool interleaved = false;
};

struct ModelSpec {
  int64_t vocab_size = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t num_layers = 0;
  int64_t num_heads = 0;
  int64_t num_kv_heads = 0;
  int64_t head_dim = 0;
  int64_t max_positions = 0;
  float norm_eps = 1e-5f;
  bool tie_word_embeddings = false;
  RopeSpec rope;
};

// ERR_MODEL_CONFIG naming the field when sizes are not positive, not consistent or absurdly large.
Status check_spec(const ModelSpec& spec);

}  // namespace espalier
