// rms_norm: out = x / sqrt(mean(x²) + eps) * weight, row by row.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// x [tokens, hidden] f32, rows ldx apart; weight [hidden] f32; out [tokens, hidden] f32, rows ldo apart, may alias x
struct RmsNormArgs {
  const float* x;
  int64_t ldx;
  const float* weight;
  float* out;
  int64_t ldo;
  int64_t tokens, hidden;
  float eps;
};
Status rms_norm(const CpuContext& context, const RmsNormArgs& args);
Status rms_norm_ref(const RmsNormArgs& args);

}  // namespace espalier
