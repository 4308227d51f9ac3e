// AVX-512 through SIMDe, and what SIMDe 0.7.4 (Debian's libsimde-dev) lacks, by halves in AVX2 or lane by lane. For
// tests only; slow.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <cstdint>
#include <cstring>

namespace espalier {
namespace {

template <typename Whole, typename Half>
inline Whole join_halves(Half low, Half high) {
  static_assert(sizeof(Whole) == 2 * sizeof(Half));
  Whole whole;
  std::memcpy(&whole, &low, sizeof low);
  std::memcpy(reinterpret_cast<char*>(&whole) + sizeof low, &high, sizeof high);
  return whole;
}

template <typename Half, typename Whole>
inline Half half_of(const Whole& whole, int which) {
  Half half;
  std::memcpy(&half, reinterpret_cast<const char*>(&whole) + which * sizeof half, sizeof half);
  return half;
}

// Lanes of type Lane whose bit is set in `mask`; the others are 0.
template <typename Whole, typename Lane>
inline Whole load_lanes(uint32_t mask, const void* source) {
  Lane lanes[sizeof(Whole) / sizeof(Lane)] = {};
  for (size_t i = 0; i < sizeof(Whole) / sizeof(Lane); ++i)
    if (mask >> i & 1) std::memcpy(lanes + i, static_cast<const char*>(source) + i * sizeof(Lane), sizeof(Lane));
  Whole whole;
  std::memcpy(&whole, lanes, sizeof whole);
  return whole;
}

template <typename Lane, typename Whole>
inline void store_lanes(void* target, uint32_t mask, const Whole& whole) {
  for (size_t i = 0; i < sizeof(Whole) / sizeof(Lane); ++i)
    if (mask >> i & 1)
      std::memcpy(static_cast<char*>(target) + i * sizeof(Lane),
                  reinterpret_cast<const char*>(&whole) + i * sizeof(Lane), sizeof(Lane));
}

inline uint32_t simulated_reduce_max_epu32(__m512i v) {
  uint32_t lanes[16], best = 0;
  std::memcpy(lanes, &v, sizeof lanes);
  for (uint32_t lane : lanes) best = lane > best ? lane : best;
  return best;
}

// f32 -> bf16, round to nearest even; subnormals become 0 as the instruction has it.
inline __m256i simulated_cvtneps_pbh(__m512 v) {
  uint32_t lanes[16];
  uint16_t halves[16];
  std::memcpy(lanes, &v, sizeof lanes);
  for (int i = 0; i < 16; ++i) {
    const uint32_t magnitude = lanes[i] & 0x7fffffffu;
    if (magnitude > 0x7f800000u)
      halves[i] = static_cast<uint16_t>(lanes[i] >> 16 | 0x40u);
    else if (magnitude < 0x00800000u)
      halves[i] = static_cast<uint16_t>(lanes[i] >> 16 & 0x8000u);
    else
      halves[i] = static_cast<uint16_t>((lanes[i] + 0x7fffu + (lanes[i] >> 16 & 1u)) >> 16);
  }
  __m256i out;
  std::memcpy(&out, halves, sizeof out);
  return out;
}

// Largest with sign 1; smallest, negated, with sign -1.
inline float simulated_reduce_max_ps(__m512 v, float sign) {
  float lanes[16];
  std::memcpy(lanes, &v, sizeof lanes);
  float best = sign * lanes[0];
  for (float lane : lanes) best = sign * lane > best ? sign * lane : best;
  return best;
}

// The low bits of every lane.
template <typename Out, typename Narrow>
inline Out simulated_narrow(__m512i v) {
  int32_t lanes[16];
  Narrow parts[16];
  std::memcpy(lanes, &v, sizeof lanes);
  for (int i = 0; i < 16; ++i) parts[i] = static_cast<Narrow>(lanes[i]);
  Out out;
  std::memcpy(&out, parts, sizeof out);
  return out;
}

// v 2^n with one rounding. SIMDe's multiplies by 2^n, which is 0 or infinity where the product need not be.
inline __m512 simulated_scalef(__m512 v, __m512 n) {
  float values[16], powers[16];
  std::memcpy(values, &v, sizeof values);
  std::memcpy(powers, &n, sizeof powers);
  for (int i = 0; i < 16; ++i)
    if (powers[i] == powers[i]) values[i] = __builtin_ldexpf(values[i], static_cast<int>(__builtin_floorf(powers[i])));
  std::memcpy(&v, values, sizeof values);
  return v;
}

}  // namespace
}  // namespace espalier

#define ESP_BY_HALVES(whole, function, half, v) \
  ::espalier::join_halves<whole>(function(::espalier::half_of<half>(v, 0)), function(::espalier::half_of<half>(v, 1)))

#undef _mm512_cvtps_pd
#define _mm512_cvtps_pd(v) ESP_BY_HALVES(__m512d, _mm256_cvtps_pd, __m128, v)
#undef _mm512_cvtph_ps
#define _mm512_cvtph_ps(v) ESP_BY_HALVES(__m512, _mm256_cvtph_ps, __m128i, v)
#undef _mm512_cvtepu16_epi32
#define _mm512_cvtepu16_epi32(v) ESP_BY_HALVES(__m512i, _mm256_cvtepu16_epi32, __m128i, v)
#undef _mm512_cvtepi32_ps
#define _mm512_cvtepi32_ps(v) ESP_BY_HALVES(__m512, _mm256_cvtepi32_ps, __m256i, v)
#undef _mm512_cvtps_epi32
#define _mm512_cvtps_epi32(v) ESP_BY_HALVES(__m512i, _mm256_cvtps_epi32, __m256, v)
#undef _mm512_cvtepi8_epi32
#define _mm512_cvtepi8_epi32(v) \
  ::espalier::join_halves<__m512i>(_mm256_cvtepi8_epi32(v), _mm256_cvtepi8_epi32(_mm_srli_si128(v, 8)))
#undef _mm512_cvtepi32_epi16
#define _mm512_cvtepi32_epi16(v) (::espalier::simulated_narrow<__m256i, int16_t>(v))
#undef _mm512_cvtepi32_epi8
#define _mm512_cvtepi32_epi8(v) (::espalier::simulated_narrow<__m128i, int8_t>(v))
#undef _mm512_cvtss_f32
#define _mm512_cvtss_f32(v) _mm_cvtss_f32(::espalier::half_of<__m128>(v, 0))
#undef _mm512_cvtneps_pbh
#define _mm512_cvtneps_pbh(v) ::espalier::simulated_cvtneps_pbh(v)
#undef _mm512_reduce_max_epu32
#define _mm512_reduce_max_epu32(v) ::espalier::simulated_reduce_max_epu32(v)
#undef _mm512_reduce_max_ps
#define _mm512_reduce_max_ps(v) ::espalier::simulated_reduce_max_ps(v, 1.0f)
#undef _mm512_reduce_min_ps
#define _mm512_reduce_min_ps(v) (-::espalier::simulated_reduce_max_ps(v, -1.0f))
#undef _mm512_scalef_ps
#define _mm512_scalef_ps(v, n) ::espalier::simulated_scalef(v, n)
#undef _mm512_stream_si512
#define _mm512_stream_si512(target, v) _mm512_storeu_si512(target, v)
#undef _mm512_maskz_loadu_ps
#define _mm512_maskz_loadu_ps(mask, source) ::espalier::load_lanes<__m512, float>(mask, source)
#undef _mm512_maskz_loadu_epi32
#define _mm512_maskz_loadu_epi32(mask, source) ::espalier::load_lanes<__m512i, int32_t>(mask, source)
#undef _mm512_mask_storeu_ps
#define _mm512_mask_storeu_ps(target, mask, v) ::espalier::store_lanes<float>(target, mask, v)
#undef _mm512_mask_storeu_epi32
#define _mm512_mask_storeu_epi32(target, mask, v) ::espalier::store_lanes<int32_t>(target, mask, v)
#undef _mm256_mask_storeu_epi32
#define _mm256_mask_storeu_epi32(target, mask, v) ::espalier::store_lanes<int32_t>(target, mask, v)
#undef _mm_mask_storeu_epi8
#define _mm_mask_storeu_epi8(target, mask, v) ::espalier::store_lanes<int8_t>(target, mask, v)
