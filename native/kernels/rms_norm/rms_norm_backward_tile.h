// The serial piece of rms_norm_backward. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// As RmsNormBackwardArgs, for some rows; dweight is never nullptr.
struct RmsNormBackwardRows {
  const float* x;
  int64_t ldx;
  const float* weight;
  const float* dout;
  int64_t lddo;
  float* dx;
  int64_t lddx;
  float* dweight;
  float* normed;
  int64_t ldn;
  int64_t rows, hidden;
  float eps;
};
using RmsNormBackwardRowsFn = void (*)(const RmsNormBackwardRows& rows);
void rms_norm_backward_avx2(const RmsNormBackwardRows& rows);
void rms_norm_backward_avx512(const RmsNormBackwardRows& rows);

}  // namespace espalier
