// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>

#include "kernels/softmax/softmax.h"
#include "kernels/softmax/softmax_tile.h"

namespace espalier {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

float row_max(const float* x, int64_t n) {
  float maximum = kMinusInfinity;
  for (int64_t i = 0; i < n; ++i)
    if (x[i] > maximum) maximum = x[i];
  return maximum;
}

double exp_sum(const float* x, int64_t n, float shift, float scale, float* out) {
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double term = std::exp((static_cast<double>(x[i]) - shift) * scale);
    if (out != nullptr) out[i] = static_cast<float>(term);
    sum += term;
  }
  return sum;
}

void multiply(float* x, int64_t n, float factor) {
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

}  // namespace

const SoftmaxTile softmax_tile_ref = {row_max, exp_sum, multiply};

Status softmax_ref(const SoftmaxArgs& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.ldx;
    float* out = args.out + row * args.ldo;
    const float maximum = row_max(x, args.width);
    if (args.width > 0 && maximum == kMinusInfinity)
      return Status("ERR_ARGUMENT", format_text("softmax: x: row %lld has no value above -inf", (long long)row));
    const double sum = exp_sum(x, args.width, maximum, 1.0f, nullptr);
    for (int64_t i = 0; i < args.width; ++i)
      out[i] = static_cast<float>(std::exp(static_cast<double>(x[i]) - maximum) / sum);
  }
  return Status::ok();
}

Status token_logprob_ref(const TokenLogprobArgs& args) {
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.ldx;
    const double maximum = row_max(x, args.width);
    const double sum = exp_sum(x, args.width, static_cast<float>(maximum), 1.0f, nullptr);
    args.out[row] = x[args.target[row]] - maximum - std::log(sum);
  }
  return Status::ok();
}

}  // namespace espalier
