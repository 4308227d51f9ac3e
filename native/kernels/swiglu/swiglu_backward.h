// swiglu_backward: the gradients of swiglu; its output is computed again on the way, as the products need it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// gate, up   [tokens, width] f32, rows ld_in apart
// dout       [tokens, width] f32, rows ld_out apart: gradient of swiglu's output
// dgate, dup [tokens, width] f32, rows ld_in apart, written; may alias gate and up
// out        [tokens, width] f32, rows ld_out apart: swiglu's output; may alias dout; nullptr when it is not wanted
struct SwigluBackwardArgs {
  const float* gate;
  const float* up;
  const float* dout;
  float* dgate;
  float* dup;
  float* out;
  int64_t ld_in, ld_out;
  int64_t tokens, width;
};
Status swiglu_backward(const CpuContext& context, const SwigluBackwardArgs& args);
Status swiglu_backward_ref(const SwigluBackwardArgs& args);

}  // namespace espalier
