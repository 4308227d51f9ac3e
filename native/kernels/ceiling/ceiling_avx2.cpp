// Ceilings of AVX2 + FMA.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/ceiling/ceiling_loops.h"
#include "kernels/simd_x86.h"

namespace espalier {
namespace {

// Makes the compiler forget what it knows of a value, so that nothing leaves the loop.
#define ESP_OPAQUE(value) asm volatile("" : "+x"(value))

float first_lane(__m256i value) { return static_cast<float>(_mm256_extract_epi32(value, 0)); }

// Four places at once: the prefetchers follow each, and one place alone gives three quarters (Granite Rapids).
void read(const char* data, size_t bytes, float* sink) {
  const size_t part = bytes / 4;
  __m256i sums[8];
  for (__m256i& sum : sums) sum = _mm256_setzero_si256();
  for (size_t i = 0; i < part; i += 64)
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v)
      sums[v] = _mm256_or_si256(
          sums[v], _mm256_load_si256(reinterpret_cast<const __m256i*>(data + v / 2 * part + i + v % 2 * 32)));
  for (const __m256i& sum : sums) *sink += first_lane(sum);
}

void copy(const char* from, char* to, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 128)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v)
      _mm256_stream_si256(reinterpret_cast<__m256i*>(to + i + v * 32),
                          _mm256_load_si256(reinterpret_cast<const __m256i*>(from + i + v * 32)));
  _mm_sfence();
}

constexpr int kChains = 12;  // latency 4-5, two a cycle

void multiply_add(int64_t rounds, float* sink) {
  __m256 acc[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) acc[i] = _mm256_set1_ps(static_cast<float>(i));
  const __m256 a = _mm256_setr_ps(0.9f, 0.8f, 0.7f, 0.6f, 0.55f, 0.45f, 0.35f, 0.25f);
  const __m256 b = _mm256_setr_ps(0.1f, 0.3f, 0.7f, 0.9f, 1.1f, 1.3f, 1.7f, 1.9f);
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) acc[i] = _mm256_fmadd_ps(acc[i], a, b);
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) *sink += _mm256_cvtss_f32(acc[i]);
}

// int16 pairs: vpmaddwd + vpaddd.
void madd_int16(int64_t rounds, float* sink) {
  __m256i acc[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) acc[i] = _mm256_set1_epi32(i);
  __m256i a = _mm256_set1_epi32(0x0033ffc1), b = _mm256_set1_epi32(0x0071ffa3);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) {
      ESP_OPAQUE(a);
      acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(a, b));
      ESP_KEEP_SUM(acc[i]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) *sink += first_lane(acc[i]);
}

// int8 quads: vpsignb + vpmaddubsw + vpmaddwd + vpaddd.
void sign_maddubs(int64_t rounds, float* sink) {
  constexpr int kQuads = 8;
  __m256i acc[kQuads];
#pragma GCC unroll 16
  for (int i = 0; i < kQuads; ++i) acc[i] = _mm256_set1_epi32(i);
  __m256i a = _mm256_set1_epi32(0x337f81c1), w = _mm256_set1_epi32(0x71a3c503);
  const __m256i magnitude = _mm256_abs_epi8(a), ones = _mm256_set1_epi16(1);
  for (int64_t round = 0; round < rounds; ++round) {
#pragma GCC unroll 16
    for (int i = 0; i < kQuads; ++i) {
      ESP_OPAQUE(a);
      const __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(w, a));
      acc[i] = _mm256_add_epi32(acc[i], _mm256_madd_epi16(pairs, ones));
      ESP_KEEP_SUM(acc[i]);
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < kQuads; ++i) *sink += first_lane(acc[i]);
}

}  // namespace

const CeilingLoops ceiling_avx2 = {"ceiling_avx2", read,
                                   copy,           {multiply_add, kChains * 8 * 2},
                                   {nullptr, 0},   {{madd_int16, kChains * 16 * 2}, {sign_maddubs, 8 * 32 * 2}}};

}  // namespace espalier
