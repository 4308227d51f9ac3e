// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/swiglu/swiglu_backward.h"

namespace espalier {

// With s = 1 / (1 + e^-gate): dgate = dout up s (1 + gate (1 - s)), dup = dout gate s.
Status swiglu_backward_ref(const SwigluBackwardArgs& args) {
  for (int64_t token = 0; token < args.tokens; ++token)
    for (int64_t i = 0; i < args.width; ++i) {
      const int64_t in = token * args.ld_in + i, out = token * args.ld_out + i;
      const double gate = args.gate[in], up = args.up[in], dout = args.dout[out];
      const double sigmoid = 1.0 / (1.0 + std::exp(-gate));
      args.dgate[in] = static_cast<float>(dout * up * sigmoid * (1.0 + gate * (1.0 - sigmoid)));
      args.dup[in] = static_cast<float>(dout * gate * sigmoid);
      if (args.out != nullptr) args.out[out] = static_cast<float>(gate * sigmoid * up);
    }
  return Status::ok();
}

}  // namespace espalier
