// rms_norm_backward: the gradients of rms_norm; its output is computed again on the way, as the products need it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// x       [tokens, hidden] f32, rows ldx apart; weight [hidden]: as rms_norm had them
// dout    [tokens, hidden] f32, rows lddo apart: gradient of rms_norm's output
// dx      [tokens, hidden] f32, rows lddx apart: the gradient of x is added; may alias neither x nor dout
// dweight [hidden] f32: the gradient of weight is added; nullptr when it is not wanted
// normed  [tokens, hidden] f32, rows ldn apart: rms_norm's output; may alias dout; nullptr when it is not wanted
struct RmsNormBackwardArgs {
  const float* x;
  int64_t ldx;
  const float* weight;
  const float* dout;
  int64_t lddo;
  float* dx;
  int64_t lddx;
  float* dweight;
  float* normed;
  int64_t ldn;
  int64_t tokens, hidden;
  float eps;
};

size_t rms_norm_backward_workspace_size(const CpuContext& context, const RmsNormBackwardArgs& args);
Status rms_norm_backward(const CpuContext& context, const RmsNormBackwardArgs& args, void* workspace, size_t size);
Status rms_norm_backward_ref(const RmsNormBackwardArgs& args);

}  // namespace espalier
