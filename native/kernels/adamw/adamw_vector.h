// The tile functions of adamw in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

template <bool kMasked>
inline void update_range(const AdamwFactors& factors, float* weight, float* gradient, float* moment1, float* moment2,
                         const uint8_t* mask, int64_t n) {
  const Vector scale = all(factors.gradient_scale), beta1 = all(factors.beta1), beta2 = all(factors.beta2);
  const Vector rest1 = all(factors.rest1), rest2 = all(factors.rest2), decay = all(factors.decay);
  const Vector rate = all(factors.rate), root_scale = all(factors.root_scale), epsilon = all(factors.epsilon);
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t left = n - i;
    const Vector g = multiply(load_up_to(gradient + i, left), scale);
    Vector m = multiply_add(beta1, load_up_to(moment1 + i, left), multiply(rest1, g));
    Vector v = multiply_add(beta2, load_up_to(moment2 + i, left), multiply(rest2, multiply(g, g)));
    const Vector change = divide(m, multiply_add(square_root(v), root_scale, epsilon));
    Vector w = negate_multiply_add(rate, change, multiply(load_up_to(weight + i, left), decay));
    if (kMasked) {
      m = keep_bits(m, mask, i);
      v = keep_bits(v, mask, i);
      w = keep_bits(w, mask, i);
    }
    store_up_to(weight + i, w, left);
    store_up_to(moment1 + i, m, left);
    store_up_to(moment2 + i, v, left);
    store_up_to(gradient + i, zeros(), left);
  }
}

inline void vector_update(const AdamwFactors& factors, float* weight, float* gradient, float* moment1, float* moment2,
                          const uint8_t* mask, int64_t n) {
  if (mask != nullptr)
    update_range<true>(factors, weight, gradient, moment1, moment2, mask, n);
  else
    update_range<false>(factors, weight, gradient, moment1, moment2, mask, n);
}

inline double vector_squares(const float* x, const uint8_t* mask, int64_t n) {
  DoubleSum sums[2];
  for (int64_t i = 0; i < n; i += kLanes) {
    const Vector v = load_up_to(x + i, n - i);
    sums[i / kLanes % 2].add_square(mask != nullptr ? keep_bits(v, mask, i) : v);
  }
  return sums[0].total() + sums[1].total();
}

}  // namespace
}  // namespace espalier
