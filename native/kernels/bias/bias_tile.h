// The serial pieces of bias, shared with embedding_backward. Plain C types only: included by files compiled for a
// single ISA. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

struct BiasTile {
  // out [n] = x + bias; either may be nullptr
  void (*add)(const float* x, const float* bias, float* out, int64_t n);
  // sum [n] += the sum over rows of x [rows, n], rows ldx apart
  void (*column_sums)(const float* x, int64_t ldx, int64_t rows, int64_t n, float* sum);
};

extern const BiasTile bias_tile_avx2;
extern const BiasTile bias_tile_avx512;

}  // namespace espalier
