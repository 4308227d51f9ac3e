// The serial piece of layer_norm_backward. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// As LayerNormBackwardArgs, for some rows; dweight, dbias are never nullptr.
struct LayerNormBackwardRows {
  const float* x;
  int64_t ldx;
  const float* weight;
  const float* bias;
  const float* dout;
  int64_t lddo;
  float* dx;
  int64_t lddx;
  float* dweight;
  float* dbias;
  float* normed;
  int64_t ldn;
  int64_t rows, hidden;
  float eps;
};
using LayerNormBackwardRowsFn = void (*)(const LayerNormBackwardRows& rows);
void layer_norm_backward_avx2(const LayerNormBackwardRows& rows);
void layer_norm_backward_avx512(const LayerNormBackwardRows& rows);

}  // namespace espalier
