// The serial piece of rope. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// One token: x [heads, head_dim]; cos, sin [half].
using RopeTokenFn = void (*)(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cos,
                             const float* sin);
void rope_half_avx2(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cos, const float* sin);
void rope_interleaved_avx2(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cos, const float* sin);
void rope_half_avx512(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cos, const float* sin);

}  // namespace espalier
