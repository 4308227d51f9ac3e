// layer_norm_backward in terms of Vector; include vector_<isa>.h and layer_norm_vector.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

struct LayerNormSums {
  float gradients;  // Σ weight dout
  float along;      // Σ weight dout (x - mean)
};

inline LayerNormSums layer_norm_sums(const float* x, float mean, const float* weight, const float* dout, int64_t n) {
  Vector gradients = zeros(), along = zeros();
  for (int64_t i = 0; i < n; i += kLanes) {
    const int64_t left = n - i;
    const Vector g = multiply(load_up_to(weight + i, left), load_up_to(dout + i, left));  // 0 beyond the end
    gradients = add(gradients, g);
    along = multiply_add(g, subtract(load_up_to(x + i, left), all(mean)), along);
  }
  return {sum_lanes(gradients), sum_lanes(along)};
}

inline void layer_norm_backward_row(const LayerNormBackwardRows& args, const float* x, const float* dout, float* dx,
                                    float* normed) {
  const float width = static_cast<float>(args.hidden), mean = mean_of(x, args.hidden);
  const float inverse = 1.0f / __builtin_sqrtf(variance_of(x, args.hidden, mean) + args.eps);
  const LayerNormSums sums = layer_norm_sums(x, mean, args.weight, dout, args.hidden);
  const Vector center = all(mean), scale = all(inverse), shift = all(sums.gradients / width);
  const Vector along = all(inverse * sums.along / width);
  for (int64_t i = 0; i < args.hidden; i += kLanes) {
    const int64_t n = args.hidden - i;
    const Vector weight = load_up_to(args.weight + i, n), gradient = load_up_to(dout + i, n);
    const Vector normal = multiply(subtract(load_up_to(x + i, n), center), scale);
    const Vector inside = negate_multiply_add(normal, along, subtract(multiply(weight, gradient), shift));
    store_up_to(args.dweight + i, multiply_add(gradient, normal, load_up_to(args.dweight + i, n)), n);
    store_up_to(args.dbias + i, add(gradient, load_up_to(args.dbias + i, n)), n);
    store_up_to(dx + i, multiply_add(inside, scale, load_up_to(dx + i, n)), n);
    if (normed == nullptr) continue;
    const Vector bias = args.bias != nullptr ? load_up_to(args.bias + i, n) : zeros();
    store_up_to(normed + i, multiply_add(normal, weight, bias), n);
  }
}

inline void layer_norm_backward_rows(const LayerNormBackwardRows& args) {
  for (int64_t row = 0; row < args.rows; ++row)
    layer_norm_backward_row(args, args.x + row * args.ldx, args.dout + row * args.lddo, args.dx + row * args.lddx,
                            args.normed != nullptr ? args.normed + row * args.ldn : nullptr);
}

}  // namespace
}  // namespace espalier
