// rms_norm in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

// Four independent sums hide the latency of the multiply-adds.
inline float sum_of_squares(const float* x, int64_t n) {
  Vector sums[4] = {zeros(), zeros(), zeros(), zeros()};
  int64_t i = 0;
  for (; i + 4 * kLanes <= n; i += 4 * kLanes)
    for (int part = 0; part < 4; ++part) {
      const Vector v = load(x + i + part * kLanes);
      sums[part] = multiply_add(v, v, sums[part]);
    }
  for (; i < n; i += kLanes) {
    const Vector v = n - i >= kLanes ? load(x + i) : load_first(x + i, n - i);
    sums[0] = multiply_add(v, v, sums[0]);
  }
  return sum_lanes(add(add(sums[0], sums[1]), add(sums[2], sums[3])));
}

inline void rms_norm_rows(const float* x, int64_t ldx, const float* weight, float* out, int64_t ldo, int64_t rows,
                          int64_t hidden, float eps) {
  for (int64_t row = 0; row < rows; ++row, x += ldx, out += ldo) {
    const float mean = sum_of_squares(x, hidden) / static_cast<float>(hidden);
    const Vector scale = all(1.0f / __builtin_sqrtf(mean + eps));
    int64_t i = 0;
    for (; i + kLanes <= hidden; i += kLanes) store(out + i, multiply(multiply(load(x + i), scale), load(weight + i)));
    if (i < hidden) {
      const int64_t n = hidden - i;
      store_first(out + i, multiply(multiply(load_first(x + i, n), scale), load_first(weight + i, n)), n);
    }
  }
}

}  // namespace
}  // namespace espalier
