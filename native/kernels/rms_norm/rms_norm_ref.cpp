// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/rms_norm/rms_norm.h"

namespace espalier {

Status rms_norm_ref(const RmsNormArgs& args) {
  for (int64_t token = 0; token < args.tokens; ++token) {
    const float* x = args.x + token * args.ldx;
    float* out = args.out + token * args.ldo;
    double sum = 0;
    for (int64_t i = 0; i < args.hidden; ++i) sum += static_cast<double>(x[i]) * x[i];
    const double scale = 1.0 / std::sqrt(sum / static_cast<double>(args.hidden) + args.eps);
    for (int64_t i = 0; i < args.hidden; ++i) out[i] = static_cast<float>(x[i] * scale * args.weight[i]);
  }
  return Status::ok();
}

}  // namespace espalier
