// swiglu in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

inline Vector gated(Vector gate, Vector up) {
  const Vector denominator = add(all(1.0f), exponential(subtract(zeros(), gate)));
  return multiply(divide(gate, denominator), up);
}

inline void swiglu_row(const float* gate, const float* up, float* out, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) store(out + i, gated(load(gate + i), load(up + i)));
  if (i < n) store_first(out + i, gated(load_first(gate + i, n - i), load_first(up + i, n - i)), n - i);
}

}  // namespace
}  // namespace espalier
