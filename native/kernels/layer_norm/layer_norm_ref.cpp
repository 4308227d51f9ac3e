// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/layer_norm/layer_norm.h"

namespace espalier {

Status layer_norm_ref(const LayerNormArgs& args) {
  const double width = static_cast<double>(args.hidden);
  for (int64_t token = 0; token < args.tokens; ++token) {
    const float* x = args.x + token * args.ldx;
    float* out = args.out + token * args.ldo;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < args.hidden; ++i) sum += x[i];
    const double mean = sum / width;
    for (int64_t i = 0; i < args.hidden; ++i) squares += (x[i] - mean) * (x[i] - mean);
    const double scale = 1.0 / std::sqrt(squares / width + args.eps);
    for (int64_t i = 0; i < args.hidden; ++i) {
      const double bias = args.bias != nullptr ? args.bias[i] : 0.0;
      out[i] = static_cast<float>((x[i] - mean) * scale * args.weight[i] + bias);
    }
  }
  return Status::ok();
}

}  // namespace espalier
