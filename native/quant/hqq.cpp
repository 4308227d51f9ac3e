// Half-quadratic quantization (Badri & Shaji, 2023): zero points that lower an l_p norm (p = 0.7) of the error, found
// by taking turns between the error's shrunk part and the zero point that explains the rest. No data is needed.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "quant/scale_range.h"

namespace espalier {
namespace {

constexpr int kRounds = 20;
constexpr float kNorm = 0.7f;
constexpr float kBeta = 10.0f;

struct Codes {
  float least, most;
};

Codes codes_of(CodeType type) { return type == CodeType::kInt4 ? Codes{-8.0f, 7.0f} : Codes{-128.0f, 127.0f}; }

float shrink(float x) {
  const float magnitude = std::fabs(x);
  if (magnitude == 0) return 0;
  const float rest = magnitude - std::pow(magnitude, kNorm - 1.0f) / kBeta;
  return rest > 0 ? std::copysign(rest, x) : 0.0f;
}

float limited(float zero, Codes codes, bool integer) {
  return integer ? std::clamp(std::nearbyint(zero), codes.least, codes.most) : zero;
}

// One round over a group: the next zero point, and the summed magnitude of the error under the present one.
double next_zero(const float* w, int64_t count, float scale, Codes codes, float* zero) {
  double error_sum = 0, zero_sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const float code = std::clamp(std::nearbyint(w[i] / scale + *zero), codes.least, codes.most);
    const float error = w[i] - (code - *zero) * scale;
    error_sum += std::fabs(error);
    zero_sum += code - (w[i] - shrink(error)) / scale;
  }
  *zero = static_cast<float>(zero_sum / static_cast<double>(count));
  return error_sum;
}

void start(const float* w, int64_t count, Codes codes, ScaleType type, float* scale, float* zero) {
  const auto [low, high] = std::minmax_element(w, w + count);
  const float range = *high - *low;
  // The published rule: ranges near 0 keep a scale of 1, the finest scale is 5e-5.
  *scale = round_scale(range <= 1e-4f ? 1.0f : std::max(range / (codes.most - codes.least), 5e-5f), type);
  *zero = codes.least - *low / *scale;
}

}  // namespace

void hqq_scales(const float* w, bool integer_zeros, ScaleType scale_type, ThreadPool* pool, QuantizedMatrix* out) {
  const Codes codes = codes_of(out->type);
  const int64_t group = out->grid.col_span, groups = out->scale_cols();
  const auto cells = static_cast<int64_t>(out->scales.size());
  out->zeros.assign(out->scales.size(), 0.0f);
  std::vector<float> next(out->scales.size());
  std::vector<double> errors(out->scales.size());
  const auto each = [&](auto&& body) {
    const auto run = [&](int64_t begin, int64_t end, int) {
      for (int64_t cell = begin; cell < end; ++cell) {
        const int64_t col = cell % groups * group;
        body(static_cast<size_t>(cell), w + cell / groups * out->cols + col, std::min(group, out->cols - col));
      }
    };
    if (pool != nullptr)
      pool->run_ranges(cells, 64, run);
    else
      run(0, cells, 0);
  };
  each([&](size_t cell, const float* values, int64_t count) {
    start(values, count, codes, scale_type, &out->scales[cell], &next[cell]);
    next[cell] = limited(next[cell], codes, integer_zeros);
  });
  double least = INFINITY;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<float> tried = next;
    each([&](size_t cell, const float* values, int64_t count) {
      errors[cell] = next_zero(values, count, out->scales[cell], codes, &next[cell]);
      next[cell] = limited(next[cell], codes, integer_zeros);
    });
    double error = 0;
    for (const double part : errors) error += part;
    if (!(error < least)) break;
    least = error;
    out->zeros = std::move(tried);
  }
}

}  // namespace espalier
