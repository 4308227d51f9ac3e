// swiglu: out = silu(gate) * up.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// gate, up, out [tokens, width] f32, rows ld_in / ld_in / ld_out apart; out may alias gate or up
struct SwigluArgs {
  const float* gate;
  const float* up;
  float* out;
  int64_t ld_in, ld_out;
  int64_t tokens, width;
};
Status swiglu(const CpuContext& context, const SwigluArgs& args);
Status swiglu_ref(const SwigluArgs& args);

}  // namespace espalier
