// The passes of logit_loss in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

// body(i, lanes) for every vector of n elements; lanes < kLanes only at the end.
template <typename Body>
inline void for_vectors(int64_t n, const Body& body) {
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) body(i, kLanes);
  if (i < n) body(i, n - i);
}

// (x - shift) * scale of `lanes` elements from i on; its exponential times row.inverse is the probability.
inline Vector centred(const LogitRow& row, int64_t i, int64_t lanes, Vector scale) {
  return multiply(subtract(load_up_to(row.x + i, lanes), all(row.shift)), scale);
}
inline Vector probability(const LogitRow& row, Vector centred) {
  return multiply(exponential(centred), all(row.inverse));
}

inline void put(LogitGradient out, int64_t i, int64_t lanes, Vector value) {
  if (out.add) value = add(load_up_to(out.g + i, lanes), value);
  store_up_to(out.g + i, value, lanes);
}

inline Vector only(Vector v, int64_t lanes) { return lanes < kLanes ? keep_first(v, zeros(), lanes) : v; }

inline void softmax_pass(const LogitRow& row, int64_t n, float scale, float factor, LogitGradient out) {
  const Vector scales = all(scale), factors = all(factor);
  for_vectors(n, [&](int64_t i, int64_t lanes) {
    put(out, i, lanes, multiply(factors, probability(row, centred(row, i, lanes, scales))));
  });
}

inline double kl_pass(const LogitPair& pair, float factor, LogitGradient out) {
  const Vector scales = all(pair.scale), factors = all(factor);
  DoubleSum sum;
  for_vectors(pair.n, [&](int64_t i, int64_t lanes) {
    const Vector s = centred(pair.student, i, lanes, scales), t = centred(pair.teacher, i, lanes, scales);
    const Vector p = probability(pair.teacher, t);
    sum.add(only(multiply(p, subtract(t, s)), lanes));
    if (out.g == nullptr) return;
    put(out, i, lanes, multiply(factors, subtract(probability(pair.student, s), p)));
  });
  return sum.total();
}

inline double reverse_kl_pass(const LogitPair& pair) {
  const Vector scales = all(pair.scale);
  DoubleSum sum;
  for_vectors(pair.n, [&](int64_t i, int64_t lanes) {
    const Vector s = centred(pair.student, i, lanes, scales), t = centred(pair.teacher, i, lanes, scales);
    sum.add(only(multiply(probability(pair.student, s), subtract(s, t)), lanes));
  });
  return sum.total();
}

inline void reverse_kl_gradient_pass(const LogitPair& pair, float center, float factor, LogitGradient out) {
  const Vector scales = all(pair.scale), factors = all(factor), centers = all(center);
  for_vectors(pair.n, [&](int64_t i, int64_t lanes) {
    const Vector s = centred(pair.student, i, lanes, scales), t = centred(pair.teacher, i, lanes, scales);
    const Vector ratio = subtract(subtract(s, t), centers);
    put(out, i, lanes, multiply(multiply(factors, probability(pair.student, s)), ratio));
  });
}

// log(1 + z), 0 <= z <= 1: 2 artanh(w) with w = z / (2 + z) <= 1/3, its series up to w^17 (relative error 1e-9).
inline Vector log_one_plus(Vector z) {
  const Vector w = divide(z, add(z, all(2.0f)));
  const Vector square = multiply(w, w);
  Vector tail = all(2.0f / 17);
  tail = multiply_add(tail, square, all(2.0f / 15));
  tail = multiply_add(tail, square, all(2.0f / 13));
  tail = multiply_add(tail, square, all(2.0f / 11));
  tail = multiply_add(tail, square, all(2.0f / 9));
  tail = multiply_add(tail, square, all(2.0f / 7));
  tail = multiply_add(tail, square, all(2.0f / 5));
  tail = multiply_add(tail, square, all(2.0f / 3));
  tail = multiply_add(tail, square, all(2.0f));
  return multiply(w, tail);
}

// The mixture m = beta p + (1 - beta) q against its parts, of difference = log p - log q. Each is a maximum, exact
// however far p and q are apart, and log(1 + the smaller part / the larger).
struct Mixture {
  Vector log_beta, log_rest;
  explicit Mixture(float beta) : log_beta(all(__builtin_logf(beta))), log_rest(all(__builtin_logf(1.0f - beta))) {}
  Vector common(Vector difference) const {
    const Vector gap = subtract(add(difference, log_beta), log_rest);
    const Vector less = subtract(zeros(), maximum(gap, subtract(zeros(), gap)));
    return log_one_plus(exponential(less));
  }
  // log(m / q), log(m / p)
  Vector over_student(Vector difference, Vector common) const {
    return add(maximum(add(difference, log_beta), log_rest), common);
  }
  Vector over_teacher(Vector difference, Vector common) const {
    return add(maximum(subtract(log_rest, difference), log_beta), common);
  }
};

inline void jsd_pass(const LogitPair& pair, float beta, double* sums) {
  const Vector scales = all(pair.scale), gaps = all(pair.gap);
  const Mixture mixture(beta);
  DoubleSum teacher, student;
  for_vectors(pair.n, [&](int64_t i, int64_t lanes) {
    const Vector s = centred(pair.student, i, lanes, scales), t = centred(pair.teacher, i, lanes, scales);
    const Vector difference = subtract(subtract(t, s), gaps);
    const Vector common = mixture.common(difference);
    teacher.add(only(multiply(probability(pair.teacher, t), mixture.over_teacher(difference, common)), lanes));
    student.add(only(multiply(probability(pair.student, s), mixture.over_student(difference, common)), lanes));
  });
  sums[0] = -teacher.total();
  sums[1] = -student.total();
}

inline void jsd_gradient_pass(const LogitPair& pair, float beta, float center, float factor, LogitGradient out) {
  const Vector scales = all(pair.scale), gaps = all(pair.gap), factors = all(-factor), centers = all(center);
  const Mixture mixture(beta);
  for_vectors(pair.n, [&](int64_t i, int64_t lanes) {
    const Vector s = centred(pair.student, i, lanes, scales), t = centred(pair.teacher, i, lanes, scales);
    const Vector difference = subtract(subtract(t, s), gaps);
    const Vector ratio = mixture.over_student(difference, mixture.common(difference));
    put(out, i, lanes, multiply(multiply(factors, probability(pair.student, s)), add(ratio, centers)));
  });
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

inline void combine_pass(const float* s, const float* t, int64_t n, float a, float b, LogitGradient out) {
  const Vector as = all(a), bs = all(b);
  for_vectors(n, [&](int64_t i, int64_t lanes) {
    put(out, i, lanes, multiply_add(as, load_up_to(s + i, lanes), multiply(bs, load_up_to(t + i, lanes))));
  });
}

}  // namespace
}  // namespace espalier
