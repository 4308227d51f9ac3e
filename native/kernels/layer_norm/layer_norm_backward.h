// layer_norm_backward: the gradients of layer_norm; its output is computed again on the way, as the products need it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// x       [tokens, hidden] f32, rows ldx apart; weight, bias [hidden] (bias may be nullptr): as layer_norm had them
// dout    [tokens, hidden] f32, rows lddo apart: gradient of layer_norm's output
// dx      [tokens, hidden] f32, rows lddx apart: the gradient of x is added; may alias neither x nor dout
// dweight, dbias [hidden] f32: the gradients are added; nullptr when they are not wanted
// normed  [tokens, hidden] f32, rows ldn apart: layer_norm's output; may alias dout; nullptr when it is not wanted
struct LayerNormBackwardArgs {
  const float* x;
  int64_t ldx;
  const float* weight;
  const float* bias;
  const float* dout;
  int64_t lddo;
  float* dx;
  int64_t lddx;
  float* dweight;
  float* dbias;
  float* normed;
  int64_t ldn;
  int64_t tokens, hidden;
  float eps;
};

size_t layer_norm_backward_workspace_size(const CpuContext& context, const LayerNormBackwardArgs& args);
Status layer_norm_backward(const CpuContext& context, const LayerNormBackwardArgs& args, void* workspace, size_t size);
Status layer_norm_backward_ref(const LayerNormBackwardArgs& args);

}  // namespace espalier
