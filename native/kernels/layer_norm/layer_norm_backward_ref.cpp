// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <vector>

#include "kernels/layer_norm/layer_norm_backward.h"

namespace espalier {

// With r = 1 / sqrt(var + eps), y = (x - mean) r and g = w dout: dx = r (g - mean(g) - y mean(g y)), dw = Σ_tokens dout
// y, db = Σ_tokens dout.
Status layer_norm_backward_ref(const LayerNormBackwardArgs& args) {
  const size_t hidden = static_cast<size_t>(args.hidden);
  std::vector<double> normal(hidden), dweight(hidden, 0.0), dbias(hidden, 0.0);
  const double width = static_cast<double>(args.hidden);
  for (int64_t token = 0; token < args.tokens; ++token) {
    const float* x = args.x + token * args.ldx;
    const float* dout = args.dout + token * args.lddo;
    double sum = 0, squares = 0, gradients = 0, along = 0;
    for (size_t i = 0; i < hidden; ++i) sum += x[i];
    for (size_t i = 0; i < hidden; ++i) squares += (x[i] - sum / width) * (x[i] - sum / width);
    const double r = 1.0 / std::sqrt(squares / width + args.eps);
    for (size_t i = 0; i < hidden; ++i) {
      normal[i] = (x[i] - sum / width) * r;
      gradients += static_cast<double>(args.weight[i]) * dout[i];
      along += args.weight[i] * dout[i] * normal[i];
    }
    for (size_t i = 0; i < hidden; ++i) {
      const double gradient = dout[i];
      float& dx = args.dx[token * args.lddx + static_cast<int64_t>(i)];
      dweight[i] += gradient * normal[i];
      dbias[i] += gradient;
      dx = static_cast<float>(dx + r * (args.weight[i] * gradient - gradients / width - normal[i] * along / width));
      if (args.normed != nullptr)
        args.normed[token * args.ldn + static_cast<int64_t>(i)] =
            static_cast<float>(normal[i] * args.weight[i] + (args.bias != nullptr ? args.bias[i] : 0.0));
    }
  }
  for (size_t i = 0; i < hidden; ++i) {
    if (args.dweight != nullptr) args.dweight[i] = static_cast<float>(args.dweight[i] + dweight[i]);
    if (args.dbias != nullptr) args.dbias[i] = static_cast<float>(args.dbias[i] + dbias[i]);
  }
  return Status::ok();
}

}  // namespace espalier
