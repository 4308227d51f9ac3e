// Rotary frequencies of every scaling kind, as transformers' modeling_rope_utils defines them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "model/model_spec.h"

namespace espalier {

class RopeFrequencies {
 public:
  explicit RopeFrequencies(const ModelSpec& spec);

  int64_t half() const { return static_cast<int64_t>(inverse_.size()); }
  // True when the angles of a position depend on how long the sequence is (dynamic NTK beyond the trained context).
  bool depends_on_length(int64_t length) const { return spec_.type == RopeType::kDynamic && length > max_positions_; }
  // cos, sin [count, half] for positions position, position + 1, ... of a sequence that is `length` tokens long.
  void fill(int64_t position, int64_t count, int64_t length, float* cos, float* sin) const;

 private:
  std::vector<float> inverse_at(int64_t length) const;

  RopeSpec spec_;
  int64_t max_positions_;
  std::vector<float> inverse_;  // [half]
  float magnitude_ = 1.0f;      // yarn's attention factor, 1 otherwise
};

}  // namespace espalier
