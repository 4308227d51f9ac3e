// The serial pieces of softmax, shared with sampling. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/isa.h"

namespace espalier {

struct SoftmaxTile {
  // Largest of x [n]; NaN is passed over; -inf when there is nothing else.
  float (*row_max)(const float* x, int64_t n);
  // Sum in float64 of exp((x - shift) * scale); each term is written to out [n] unless out is nullptr. May alias.
  double (*exp_sum)(const float* x, int64_t n, float shift, float scale, float* out);
  // x *= factor
  void (*multiply)(float* x, int64_t n, float factor);
};

extern const SoftmaxTile softmax_tile_ref;
extern const SoftmaxTile softmax_tile_avx2;
extern const SoftmaxTile softmax_tile_avx512;

// The tile functions of the highest level at or below `isa`.
const SoftmaxTile& softmax_tile(Isa isa);

}  // namespace espalier
