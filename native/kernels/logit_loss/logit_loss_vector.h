// The passes of logit_loss in terms of Vector; include vector_<isa>.h and distance_vector.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

// (x - shift) * scale of `lanes` elements from i on; its exponential times row.inverse is the probability.
inline Vector centred(const LogitRow& row, int64_t i, int64_t lanes, Vector scale) {
  return multiply(subtract(load_up_to(row.x + i, lanes), all(row.shift)), scale);
}
inline Vector probability(const LogitRow& row, Vector centred) {
  return multiply(exponential(centred), all(row.inverse));
}

inline Vector only(Vector v, int64_t lanes) { return lanes < kLanes ? keep_first(v, zeros(), lanes) : v; }

inline void softmax_pass(const LogitRow& row, int64_t n, float scale, float factor, GradientOutput out) {
  const Vector scales = all(scale), factors = all(factor);
  for_vectors(n, [&](int64_t i, int64_t lanes) {
    put(out, i, lanes, multiply(factors, probability(row, centred(row, i, lanes, scales))));
  });
}

inline double kl_pass(const LogitPair& pair, float factor, GradientOutput out) {
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

inline void reverse_kl_gradient_pass(const LogitPair& pair, float center, float factor, GradientOutput out) {
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

inline void jsd_gradient_pass(const LogitPair& pair, float beta, float center, float factor, GradientOutput out) {
  const Vector scales = all(pair.scale), gaps = all(pair.gap), factors = all(-factor), centers = all(center);
  const Mixture mixture(beta);
  for_vectors(pair.n, [&](int64_t i, int64_t lanes) {
    const Vector s = centred(pair.student, i, lanes, scales), t = centred(pair.teacher, i, lanes, scales);
    const Vector difference = subtract(subtract(t, s), gaps);
    const Vector ratio = mixture.over_student(difference, mixture.common(difference));
    put(out, i, lanes, multiply(multiply(factors, probability(pair.student, s)), add(ratio, centers)));
  });
}

}  // namespace
}  // namespace espalier
