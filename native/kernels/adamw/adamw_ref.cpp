// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/adamw/adamw.h"

namespace espalier {
namespace {

bool kept(const uint8_t* mask, int64_t i) { return mask == nullptr || (mask[i / 8] >> (i % 8) & 1) != 0; }

}  // namespace

Status adamw_ref(const AdamwArgs& args) {
  const double step = static_cast<double>(args.step);
  const double correction1 = 1.0 - std::pow(args.beta1, step), correction2 = 1.0 - std::pow(args.beta2, step);
  for (int64_t i = 0; i < args.count; ++i) {
    if (!kept(args.mask, i)) {
      args.weight[i] = args.moment1[i] = args.moment2[i] = args.gradient[i] = 0.0f;
      continue;
    }
    const double gradient = static_cast<double>(args.gradient[i]) * args.gradient_scale;
    const double m = args.beta1 * args.moment1[i] + (1.0 - args.beta1) * gradient;
    const double v = args.beta2 * args.moment2[i] + (1.0 - args.beta2) * gradient * gradient;
    const double decayed = args.weight[i] * (1.0 - args.learning_rate * args.weight_decay);
    const double change = m / correction1 / (std::sqrt(v / correction2) + args.epsilon);
    args.weight[i] = static_cast<float>(decayed - args.learning_rate * change);
    args.moment1[i] = static_cast<float>(m);
    args.moment2[i] = static_cast<float>(v);
    args.gradient[i] = 0.0f;
  }
  return Status::ok();
}

Status sum_of_squares_ref(const SumOfSquaresArgs& args) {
  double sum = 0;
  for (int64_t i = 0; i < args.count; ++i)
    if (kept(args.mask, i)) sum += static_cast<double>(args.x[i]) * args.x[i];
  *args.sum = sum;
  return Status::ok();
}

Status apply_mask(const CpuContext& context, float* x, const uint8_t* mask, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    if (!kept(mask, i)) x[i] = 0.0f;
  return Status::ok();
}

}  // namespace espalier
