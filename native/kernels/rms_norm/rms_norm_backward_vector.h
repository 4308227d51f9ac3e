// rms_norm_backward in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

struct NormSums {
  float squares;  // Σ x²
  float along;    // Σ weight dout x
};

inline NormSums norm_sums(const float* x, const float* weight, const float* dout, int64_t hidden) {
  Vector squares[2] = {zeros(), zeros()}, along[2] = {zeros(), zeros()};
  int64_t i = 0;
  for (; i + 2 * kLanes <= hidden; i += 2 * kLanes)
    for (int part = 0; part < 2; ++part) {
      const int64_t at = i + part * kLanes;
      const Vector v = load(x + at);
      squares[part] = multiply_add(v, v, squares[part]);
      along[part] = multiply_add(multiply(load(weight + at), load(dout + at)), v, along[part]);
    }
  for (; i < hidden; i += kLanes) {
    const int64_t n = hidden - i;
    const Vector v = load_up_to(x + i, n);
    squares[0] = multiply_add(v, v, squares[0]);
    along[0] = multiply_add(multiply(load_up_to(weight + i, n), load_up_to(dout + i, n)), v, along[0]);
  }
  return {sum_lanes(add(squares[0], squares[1])), sum_lanes(add(along[0], along[1]))};
}

inline void rms_norm_backward_rows(const RmsNormBackwardRows& args) {
  const float width = static_cast<float>(args.hidden);
  for (int64_t row = 0; row < args.rows; ++row) {
    const float* x = args.x + row * args.ldx;
    const float* dout = args.dout + row * args.lddo;
    float* dx = args.dx + row * args.lddx;
    float* normed = args.normed != nullptr ? args.normed + row * args.ldn : nullptr;
    const NormSums sums = norm_sums(x, args.weight, dout, args.hidden);
    const float inverse = 1.0f / __builtin_sqrtf(sums.squares / width + args.eps);
    const Vector scale = all(inverse), along = all(inverse * inverse * sums.along / width);
    for (int64_t i = 0; i < args.hidden; i += kLanes) {
      const int64_t n = args.hidden - i;
      const Vector weight = load_up_to(args.weight + i, n), gradient = load_up_to(dout + i, n);
      const Vector value = load_up_to(x + i, n), normal = multiply(value, scale);
      const Vector inside = negate_multiply_add(value, along, multiply(weight, gradient));
      store_up_to(args.dweight + i, multiply_add(gradient, normal, load_up_to(args.dweight + i, n)), n);
      store_up_to(dx + i, multiply_add(inside, scale, load_up_to(dx + i, n)), n);
      if (normed != nullptr) store_up_to(normed + i, multiply(normal, weight), n);
    }
  }
}

}  // namespace
}  // namespace espalier
