// The serial piece of rms_norm. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// x [rows, hidden], rows ldx apart; weight [hidden]; out [rows, hidden], rows ldo apart, may alias x
using RmsNormRowsFn = void (*)(const float* x, int64_t ldx, const float* weight, float* out, int64_t ldo, int64_t rows,
                               int64_t hidden, float eps);
void rms_norm_avx2(const float* x, int64_t ldx, const float* weight, float* out, int64_t ldo, int64_t rows,
                   int64_t hidden, float eps);
void rms_norm_avx512(const float* x, int64_t ldx, const float* weight, float* out, int64_t ldo, int64_t rows,
                     int64_t hidden, float eps);

}  // namespace espalier
