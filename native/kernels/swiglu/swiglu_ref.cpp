// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/swiglu/swiglu.h"

namespace espalier {

Status swiglu_ref(const SwigluArgs& args) {
  for (int64_t token = 0; token < args.tokens; ++token) {
    const float* gate = args.gate + token * args.ld_in;
    const float* up = args.up + token * args.ld_in;
    float* out = args.out + token * args.ld_out;
    for (int64_t i = 0; i < args.width; ++i) {
      const double g = gate[i];
      out[i] = static_cast<float>(g / (1.0 + std::exp(-g)) * up[i]);
    }
  }
  return Status::ok();
}

}  // namespace espalier
