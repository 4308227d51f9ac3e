// swiglu_backward in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

inline void swiglu_backward_row(const float* gate, const float* up, const float* dout, float* dgate, float* dup,
                                float* out, int64_t n) {
  const Vector one = all(1.0f);
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t left = n - i;
    const Vector g = load_up_to(gate + i, left), u = load_up_to(up + i, left), d = load_up_to(dout + i, left);
    const Vector sigmoid = divide(one, add(one, exponential(subtract(zeros(), g))));
    const Vector silu = multiply(g, sigmoid);
    // s (1 + g (1 - s)) = s + silu (1 - s)
    const Vector slope = multiply_add(silu, subtract(one, sigmoid), sigmoid);
    store_up_to(dgate + i, multiply(multiply(d, u), slope), left);
    store_up_to(dup + i, multiply(d, silu), left);
    if (out != nullptr) store_up_to(out + i, multiply(silu, u), left);
  }
}

}  // namespace
}  // namespace espalier
