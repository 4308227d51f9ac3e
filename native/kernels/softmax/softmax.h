// softmax and the log-probabilities taken from it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// x, out [rows, width] f32, rows ldx / ldo apart; out may alias x. A row of only -inf is ERR_ARGUMENT.
struct SoftmaxArgs {
  const float* x;
  int64_t ldx;
  float* out;
  int64_t ldo;
  int64_t rows, width;
};
Status softmax(const CpuContext& context, const SoftmaxArgs& args);
Status softmax_ref(const SoftmaxArgs& args);

// out[r] = log softmax(x[r])[target[r]], the summation in float64. target[r] in [0, width).
struct TokenLogprobArgs {
  const float* x;  // [rows, width], rows ldx apart
  int64_t ldx;
  const int32_t* target;  // [rows]
  double* out;            // [rows]
  int64_t rows, width;
};
Status token_logprob(const CpuContext& context, const TokenLogprobArgs& args);
Status token_logprob_ref(const TokenLogprobArgs& args);

}  // namespace espalier
