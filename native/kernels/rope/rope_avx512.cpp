// SPDX-License-Identifier: Apache-2.0
#include "kernels/rope/rope_tile.h"
#include "kernels/vector_avx512.h"

// after the vectors it is written in
#include "kernels/rope/rope_vector.h"

namespace espalier {

void rope_half_avx512(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cos, const float* sin) {
  rope_half(x, heads, head_dim, half, cos, sin);
}

}  // namespace espalier
