// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm/gemm_pack.h"
#include "kernels/simd_x86.h"

namespace espalier {
namespace {

constexpr int64_t kAheadRows = 8;  // rows are far apart: the caches' own prefetchers do not find the next one

// All ones in the first `count` of eight lanes.
__m256i first_lanes(int64_t count) {
  const int limit = count >= 8 ? 8 : count <= 0 ? 0 : static_cast<int>(count);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(limit), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

}  // namespace

void gemm_pack_slots_avx2(const GemmPackSlots& p) {
  const int64_t whole = p.lines / p.width, left = p.lines - whole * p.width;
  const __m256i low = first_lanes(p.width), high = first_lanes(p.width - 8);
  const __m256i rest_low = first_lanes(left), rest_high = first_lanes(left - 8);
  for (int64_t i = 0; i < p.depth; ++i) {
    const float* row = p.source + i * p.stride;
    const char* ahead = reinterpret_cast<const char*>(row + kAheadRows * p.stride);
    for (int64_t byte = 0; byte < p.lines * 4; byte += 64) _mm_prefetch(ahead + byte, _MM_HINT_T0);
    float* out = p.out + i * p.width;
    for (int64_t s = 0; s < whole; ++s) {
      const float* from = row + s * p.width;
      float* to = out + s * p.step;
      if (p.width == 16) {
        _mm256_storeu_ps(to, _mm256_loadu_ps(from));
        _mm256_storeu_ps(to + 8, _mm256_loadu_ps(from + 8));
        continue;
      }
      _mm256_maskstore_ps(to, low, _mm256_maskload_ps(from, low));
      if (p.width > 8) _mm256_maskstore_ps(to + 8, high, _mm256_maskload_ps(from + 8, high));
    }
    if (left == 0) continue;
    const float* from = row + whole * p.width;
    float* to = out + whole * p.step;
    _mm256_maskstore_ps(to, low, _mm256_maskload_ps(from, rest_low));
    if (p.width > 8) _mm256_maskstore_ps(to + 8, high, _mm256_maskload_ps(from + 8, rest_high));
  }
}

}  // namespace espalier
