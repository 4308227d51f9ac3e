// Functions over Vector; included at the end of vector_avx2.h and vector_avx512.h only.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

// As load_first and store_first for any n >= 1; whole vectors take the plain instruction (masked stores are slow on
// some AVX2 machines).
inline Vector load_up_to(const float* p, int64_t n) { return n >= kLanes ? load(p) : load_first(p, n); }
inline void store_up_to(float* p, Vector v, int64_t n) {
  if (n >= kLanes)
    store(p, v);
  else
    store_first(p, v, n);
}

// e^x within 2 ulp wherever the result is a normal f32 (test/native/kernels/softmax.test.ts measures it); results
// below 2^-126 become subnormal, then 0; above 3.4e38 infinity; NaN stays NaN.
// x = n ln2 + r with |r| <= ln2 / 2, ln2 in two parts so that n * kLn2High is exact; e^r by a polynomial of degree 6
// interpolating (e^r - 1 - r) / r² at the Chebyshev nodes of that interval (relative error 2e-9).
inline Vector exponential(Vector x) {
  constexpr float kLog2E = 1.44269504f, kLn2High = 0.693145752f, kLn2Low = 1.42860677e-6f;
  x = clamp(x, -105.0f, 89.0f);
  const Vector n = nearest_integer(multiply(x, all(kLog2E)));
  const Vector r = negate_multiply_add(n, all(kLn2Low), negate_multiply_add(n, all(kLn2High), x));
  Vector tail = all(1.392617612e-3f);
  tail = multiply_add(tail, r, all(8.363173075e-3f));
  tail = multiply_add(tail, r, all(4.166655466e-2f));
  tail = multiply_add(tail, r, all(1.666657703e-1f));
  tail = multiply_add(tail, r, all(0.5f));
  const Vector p = add(multiply_add(multiply(r, r), tail, r), all(1.0f));
  return scale_by_power(p, n);
}

}  // namespace
}  // namespace espalier
