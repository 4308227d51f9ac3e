// The tile functions of bias in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

inline void vector_add(const float* x, const float* bias, float* out, int64_t n) {
  for (int64_t i = 0; i < n; i += kLanes) {
    const Vector v = x != nullptr ? load_up_to(x + i, n - i) : zeros();
    const Vector b = bias != nullptr ? load_up_to(bias + i, n - i) : zeros();
    store_up_to(out + i, add(v, b), n - i);
  }
}

// Rows in runs, so that a long sum does not lose the small values.
inline void vector_column_sums(const float* x, int64_t ldx, int64_t rows, int64_t n, float* sum) {
  constexpr int64_t kRun = 128;
  for (int64_t i = 0; i < n; i += kLanes) {
    Vector total = load_up_to(sum + i, n - i);
    for (int64_t begin = 0; begin < rows; begin += kRun) {
      const int64_t end = rows - begin < kRun ? rows : begin + kRun;
      Vector run = zeros();
      for (int64_t row = begin; row < end; ++row) run = add(run, load_up_to(x + row * ldx + i, n - i));
      total = add(total, run);
    }
    store_up_to(sum + i, total, n - i);
  }
}

}  // namespace
}  // namespace espalier
