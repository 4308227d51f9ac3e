// The tile functions of softmax in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

inline float vector_row_max(const float* x, int64_t n) {
  const Vector least = all(-__builtin_inff());
  Vector best[2] = {least, least};
  int64_t i = 0;
  for (; i + 2 * kLanes <= n; i += 2 * kLanes) {
    best[0] = maximum(load(x + i), best[0]);
    best[1] = maximum(load(x + i + kLanes), best[1]);
  }
  for (; i < n; i += kLanes) {
    const int64_t left = n - i < kLanes ? n - i : kLanes;
    best[0] = maximum(keep_first(load_first(x + i, left), least, left), best[0]);
  }
  return max_lanes(maximum(best[0], best[1]));
}

inline double vector_exp_sum(const float* x, int64_t n, float shift, float scale, float* out) {
  const Vector shifts = all(shift), scales = all(scale);
  DoubleSum sum;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
    const Vector term = exponential(multiply(subtract(load(x + i), shifts), scales));
    if (out != nullptr) store(out + i, term);
    sum.add(term);
  }
  if (i < n) {
    const Vector term = exponential(multiply(subtract(load_first(x + i, n - i), shifts), scales));
    if (out != nullptr) store_first(out + i, term, n - i);
    sum.add(keep_first(term, zeros(), n - i));
  }
  return sum.total();
}

inline void vector_multiply(float* x, int64_t n, float factor) {
  const Vector factors = all(factor);
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(x + i, multiply(load(x + i), factors));
  if (i < n) store_first(x + i, multiply(load_first(x + i, n - i), factors), n - i);
}

}  // namespace
}  // namespace espalier
