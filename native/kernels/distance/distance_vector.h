// The passes of distance_tile.h in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/distance/distance_tile.h"

namespace espalier {
namespace {

// body(i, lanes) for every vector of n elements; lanes < kLanes only at the end.
template <typename Body>
inline void for_vectors(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, kLanes);
  if (i < n) body(i, n - i);
}

inline void put(GradientOutput out, int64_t i, int64_t lanes, Vector value) {
  if (out.add) value = add(load_up_to(out.g + i, lanes), value);
  store_up_to(out.g + i, value, lanes);
}

inline double squares_pass(const float* s, const float* t, int64_t n) {
  DoubleSum sum;
  for_vectors(n, [&](int64_t i, int64_t lanes) {
    const Vector difference = subtract(load_up_to(s + i, lanes), load_up_to(t + i, lanes));
    sum.add(multiply(difference, difference));
  });
  return sum.total();
}

inline void products_pass(const float* s, const float* t, int64_t n, double* sums) {
  DoubleSum both, student, teacher;
  for_vectors(n, [&](int64_t i, int64_t lanes) {
    const Vector a = load_up_to(s + i, lanes), b = load_up_to(t + i, lanes);
    both.add(multiply(a, b));
    student.add(multiply(a, a));
    teacher.add(multiply(b, b));
  });
  sums[0] = both.total();
  sums[1] = student.total();
  sums[2] = teacher.total();
}

inline void combine_pass(const float* s, const float* t, int64_t n, float a, float b, GradientOutput out) {
  const Vector as = all(a), bs = all(b);
  for_vectors(n, [&](int64_t i, int64_t lanes) {
    put(out, i, lanes, multiply_add(as, load_up_to(s + i, lanes), multiply(bs, load_up_to(t + i, lanes))));
  });
}

}  // namespace
}  // namespace espalier
