// The AVX-512 loops that both AVX-512 levels share. Only ISA files include this; everything is local to them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/ceiling/ceiling_loops.h"
#include "kernels/simd_x86.h"

namespace espalier {
namespace {

// Loops over dot products are spelled in assembly: gcc 12 copies and spills the accumulators of the intrinsics, which
// halves what a ceiling would show.
#define ESP_DOT(instruction, acc, a, b) asm(instruction " %2, %1, %0" : "+v"(acc) : "v"(a), "v"(b))

constexpr int kChains = 16;  // latency 4-5, two a cycle

inline float first_lane(__m512i value) { return static_cast<float>(_mm_cvtsi128_si32(_mm512_castsi512_si128(value))); }

// Four places at once: the prefetchers follow each, and one place alone gives three quarters (Granite Rapids).
inline void read(const char* data, size_t bytes, float* sink) {
  const size_t part = bytes / 4;
  __m512i sums[8];
  for (__m512i& sum : sums) sum = _mm512_setzero_si512();
  for (size_t i = 0; i < part; i += 128)
#pragma GCC unroll 8
    for (int v = 0; v < 8; ++v)
      sums[v] = _mm512_or_si512(sums[v], _mm512_load_si512(data + v / 2 * part + i + v % 2 * 64));
  for (const __m512i& sum : sums) *sink += first_lane(sum);
}

inline void copy(const char* from, char* to, size_t bytes) {
  for (size_t i = 0; i < bytes; i += 256)
#pragma GCC unroll 4
    for (int v = 0; v < 4; ++v)
      _mm512_stream_si512(reinterpret_cast<__m512i*>(to + i + v * 64), _mm512_load_si512(from + i + v * 64));
  _mm_sfence();
}

inline void multiply_add(int64_t rounds, float* sink) {
  __m512 acc[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) acc[i] = _mm512_set1_ps(static_cast<float>(i));
  const __m512 a =
      _mm512_setr_ps(.9f, .8f, .7f, .6f, .55f, .45f, .35f, .25f, .91f, .81f, .71f, .61f, .54f, .44f, .34f, .24f);
  const __m512 b =
      _mm512_setr_ps(.1f, .3f, .7f, .9f, 1.1f, 1.3f, 1.7f, 1.9f, .11f, .31f, .71f, .91f, 1.2f, 1.4f, 1.6f, 1.8f);
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) acc[i] = _mm512_fmadd_ps(acc[i], a, b);
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) *sink += _mm512_cvtss_f32(acc[i]);
}

inline void dot_int8(int64_t rounds, float* sink) {
  __m512i acc[kChains];
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) acc[i] = _mm512_set1_epi32(i);
  const __m512i a = _mm512_set1_epi32(static_cast<int>(0xb37f81c1u)), w = _mm512_set1_epi32(0x71a3c503);
  for (int64_t round = 0; round < rounds; ++round)
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) ESP_DOT("vpdpbusd", acc[i], a, w);
#pragma GCC unroll 16
  for (int i = 0; i < kChains; ++i) *sink += first_lane(acc[i]);
}

}  // namespace
}  // namespace espalier
