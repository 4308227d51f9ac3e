// layer_norm in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

inline float mean_of(const float* x, int64_t n) {
  DoubleSum sum;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) sum.add(load(x + i));
  if (i < n) sum.add(load_first(x + i, n - i));
  return static_cast<float>(sum.total() / static_cast<double>(n));
}

// Two passes: the difference to the mean is squared, not the values, which would cancel when |mean| is large.
inline float variance_of(const float* x, int64_t n, float mean) {
  const Vector center = all(mean);
  DoubleSum sum;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Vector d = subtract(load(x + i), center);
    sum.add(multiply(d, d));
  }
  if (i < n) {
    const Vector d = keep_first(subtract(load_first(x + i, n - i), center), zeros(), n - i);
    sum.add(multiply(d, d));
  }
  return static_cast<float>(sum.total() / static_cast<double>(n));
}

inline void layer_norm_rows(const float* x, int64_t ldx, const float* weight, const float* bias, float* out,
                            int64_t ldo, int64_t rows, int64_t hidden, float eps) {
  for (int64_t row = 0; row < rows; ++row, x += ldx, out += ldo) {
    const float mean = mean_of(x, hidden);
    const Vector center = all(mean);
    const Vector scale = all(1.0f / __builtin_sqrtf(variance_of(x, hidden, mean) + eps));
    for (int64_t i = 0; i < hidden; i += kLanes) {
      const int64_t n = hidden - i;
      const Vector shift = bias != nullptr ? load_up_to(bias + i, n) : zeros();
      const Vector normal = multiply(subtract(load_up_to(x + i, n), center), scale);
      store_up_to(out + i, multiply_add(normal, load_up_to(weight + i, n), shift), n);
    }
  }
}

}  // namespace
}  // namespace espalier
