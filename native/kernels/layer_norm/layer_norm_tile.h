// The serial piece of layer_norm. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// x [rows, hidden], rows ldx apart; weight, bias [hidden] (bias may be nullptr); out [rows, hidden], may alias x
using LayerNormRowsFn = void (*)(const float* x, int64_t ldx, const float* weight, const float* bias, float* out,
                                 int64_t ldo, int64_t rows, int64_t hidden, float eps);
void layer_norm_avx2(const float* x, int64_t ldx, const float* weight, const float* bias, float* out, int64_t ldo,
                     int64_t rows, int64_t hidden, float eps);
void layer_norm_avx512(const float* x, int64_t ldx, const float* weight, const float* bias, float* out, int64_t ldo,
                       int64_t rows, int64_t hidden, float eps);

}  // namespace espalier
