// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <vector>

#include "kernels/rms_norm/rms_norm_backward.h"

namespace espalier {

// With r = 1 / sqrt(mean(x²) + eps): dx_i = r (w_i dout_i - x_i r² mean(w dout x)), dw_i = Σ_tokens dout_i x_i r.
Status rms_norm_backward_ref(const RmsNormBackwardArgs& args) {
  std::vector<double> dweight(static_cast<size_t>(args.hidden), 0.0);
  const double width = static_cast<double>(args.hidden);
  for (int64_t token = 0; token < args.tokens; ++token) {
    const float* x = args.x + token * args.ldx;
    const float* dout = args.dout + token * args.lddo;
    float* dx = args.dx + token * args.lddx;
    double squares = 0, along = 0;
    for (int64_t i = 0; i < args.hidden; ++i) {
      squares += static_cast<double>(x[i]) * x[i];
      along += static_cast<double>(args.weight[i]) * dout[i] * x[i];
    }
    const double r = 1.0 / std::sqrt(squares / width + args.eps);
    for (int64_t i = 0; i < args.hidden; ++i) {
      const double gradient = dout[i], normal = x[i] * r;
      dweight[static_cast<size_t>(i)] += gradient * normal;
      dx[i] = static_cast<float>(dx[i] + r * (args.weight[i] * gradient - normal * r * along / width));
      if (args.normed != nullptr) args.normed[token * args.ldn + i] = static_cast<float>(normal * args.weight[i]);
    }
  }
  for (int64_t i = 0; args.dweight != nullptr && i < args.hidden; ++i)
    args.dweight[i] = static_cast<float>(args.dweight[i] + dweight[static_cast<size_t>(i)]);
  return Status::ok();
}

}  // namespace espalier
