// rope with pairs (i, i + half) in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

inline void rope_half(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cos, const float* sin) {
  for (int64_t head = 0; head < heads; ++head, x += head_dim)
    for (int64_t i = 0; i < half; i += kLanes) {
      const int64_t n = half - i;
      const Vector c = load_up_to(cos + i, n);
      const Vector s = load_up_to(sin + i, n);
      const Vector a = load_up_to(x + i, n);
      const Vector b = load_up_to(x + half + i, n);
      store_up_to(x + i, negate_multiply_add(b, s, multiply(a, c)), n);
      store_up_to(x + half + i, multiply_add(a, s, multiply(b, c)), n);
    }
}

}  // namespace
}  // namespace espalier
