// Ceilings of AVX-512 with VNNI and BF16.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/ceiling/ceiling_loops_avx512.h"

namespace espalier {
namespace {

void dot_bf16(int64_t rounds, float* sink) {
  __m512 acc[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) acc[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512i a = _mm512_set1_epi32(0x3f41bf13), b = _mm512_set1_epi32(0x3e233e71);
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) ESP_DOT("vdpbf16ps", acc[i], a, b);
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) *sink += _mm512_cvtss_f32(acc[i]);
}

}  // namespace

const CeilingLoops ceiling_avx512_bf16 = {"ceiling_avx512_bf16",
                                          read,
                                          copy,
                                          {multiply_add, kChains * 16 * 2},
                                          {dot_bf16, kChains * 32 * 2},
                                          {{dot_int8, kChains * 64 * 2}, {nullptr, 0}}};

}  // namespace espalier
