// SPDX-License-Identifier: Apache-2.0
#include "kernels/rope/rope_tile.h"
#include "kernels/vector_avx2.h"

// after the vectors it is written in
#include "kernels/rope/rope_vector.h"

namespace espalier {

void rope_half_avx2(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cos, const float* sin) {
  rope_half(x, heads, head_dim, half, cos, sin);
}

void rope_interleaved_avx2(float* x, int64_t heads, int64_t head_dim, int64_t half, const float* cos,
                           const float* sin) {
  for (int64_t head = 0; head < heads; ++head, x += head_dim) {
    int64_t i = 0;
    for (; i + 4 <= half; i += 4) {
      const __m256 pairs = _mm256_loadu_ps(x + 2 * i);        // a0 b0 a1 b1 ...
      const __m256 swapped = _mm256_permute_ps(pairs, 0xb1);  // b0 a0 b1 a1 ...
      const __m128 c4 = _mm_loadu_ps(cos + i), s4 = _mm_loadu_ps(sin + i);
      const __m256 c = _mm256_set_m128(_mm_unpackhi_ps(c4, c4), _mm_unpacklo_ps(c4, c4));
      const __m256 s = _mm256_set_m128(_mm_unpackhi_ps(s4, s4), _mm_unpacklo_ps(s4, s4));
      _mm256_storeu_ps(x + 2 * i, _mm256_fmaddsub_ps(pairs, c, _mm256_mul_ps(swapped, s)));  // a c - b s, b c + a s
    }
    for (; i < half; ++i) {
      const float a = x[2 * i], b = x[2 * i + 1];
      x[2 * i] = a * cos[i] - b * sin[i];
      x[2 * i + 1] = b * cos[i] + a * sin[i];
    }
  }
}

}  // namespace espalier
