// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "kernels/top_logits/top_logits.h"

namespace espalier {

namespace {
Status not_finite() { return Status("ERR_NUMERIC", "top_logits: a logit is not finite"); }
}  // namespace

Status top_logits_ref(const TopLogitsArgs& args) {
  std::vector<int32_t> order(static_cast<size_t>(args.vocab));
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.logits + row * args.ld;
    if (std::any_of(x, x + args.vocab, [](float value) { return std::isnan(value); })) return not_finite();
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return x[a] > x[b]; });
    for (int64_t i = 0; i < args.top; ++i) {
      args.ids[row * args.top + i] = order[static_cast<size_t>(i)];
      args.values[row * args.top + i] = x[order[static_cast<size_t>(i)]];
    }
    const double largest = x[order[0]];
    if (!std::isfinite(largest) || !std::isfinite(x[order[static_cast<size_t>(args.top - 1)]])) return not_finite();
    double sum = 0;
    for (int64_t i = 0; i < args.vocab; ++i) sum += std::exp(x[i] - largest);
    args.log_sum_exp[row] = static_cast<float>(largest + std::log(sum));
  }
  return Status::ok();
}

}  // namespace espalier
