// SPDX-License-Identifier: Apache-2.0
#include "kernels/gemm/gemm_pack.h"
#include "kernels/simd_x86.h"

namespace espalier {
namespace {

constexpr int64_t kAheadRows = 8;  // rows are far apart: the caches' own prefetchers do not find the next one

}  // namespace

void gemm_pack_slots_avx512(const GemmPackSlots& p) {
  const int64_t whole = p.lines / p.width;
  const __mmask16 width = static_cast<__mmask16>((1u << p.width) - 1u);
  const __mmask16 rest = static_cast<__mmask16>((1u << (p.lines - whole * p.width)) - 1u);
  for (int64_t i = 0; i < p.depth; ++i) {
    const float* row = p.source + i * p.stride;
    const char* ahead = reinterpret_cast<const char*>(row + kAheadRows * p.stride);
    for (int64_t byte = 0; byte < p.lines * 4; byte += 64) _mm_prefetch(ahead + byte, _MM_HINT_T0);
    float* out = p.out + i * p.width;
    for (int64_t s = 0; s < whole; ++s)
      _mm512_mask_storeu_ps(out + s * p.step, width, _mm512_maskz_loadu_ps(width, row + s * p.width));
    if (rest != 0)
      _mm512_mask_storeu_ps(out + whole * p.step, width, _mm512_maskz_loadu_ps(rest, row + whole * p.width));
  }
}

}  // namespace espalier
