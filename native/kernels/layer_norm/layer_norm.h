// layer_norm: out = (x - mean) / sqrt(var + eps) * weight + bias, row by row (biased variance).
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// x [tokens, hidden] f32, rows ldx apart; weight, bias [hidden] f32 (bias may be nullptr); out may alias x
struct LayerNormArgs {
  const float* x;
  int64_t ldx;
  const float* weight;
  const float* bias;
  float* out;
  int64_t ldo;
  int64_t tokens, hidden;
  float eps;
};
Status layer_norm(const CpuContext& context, const LayerNormArgs& args);
Status layer_norm_ref(const LayerNormArgs& args);

}  // namespace espalier
