// bias: rows that a product is then added to (residual and bias), and the gradient of a bias.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// out  [tokens, width] f32, rows ldo apart = x + bias
// x    [tokens, width] f32, rows ldx apart; nullptr: zeros; may be out
// bias [width] f32; nullptr: zeros
struct BiasRowsArgs {
  const float* x;
  int64_t ldx;
  const float* bias;
  float* out;
  int64_t ldo;
  int64_t tokens, width;
};
Status bias_rows(const CpuContext& context, const BiasRowsArgs& args);
Status bias_rows_ref(const BiasRowsArgs& args);

// dbias [width] f32 += the sum over tokens of dout [tokens, width] f32, rows lddo apart. The order of the sum does not
// depend on the threads.
struct BiasBackwardArgs {
  const float* dout;
  int64_t lddo;
  float* dbias;
  int64_t tokens, width;
};
Status bias_backward(const CpuContext& context, const BiasBackwardArgs& args);
Status bias_backward_ref(const BiasBackwardArgs& args);

}  // namespace espalier
