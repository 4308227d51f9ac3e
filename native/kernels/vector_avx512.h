// Vector: 16 lanes of f32 with the operations element-wise kernels are written in. The twin is vector_avx2.h.
// Everything has internal linkage: a copy compiled for one ISA never reaches code of another.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "kernels/simd_x86.h"

namespace espalier {
namespace {

using Vector = __m512;
constexpr int64_t kLanes = 16;

// The first n lanes set, 0 <= n <= 16.
inline __mmask16 lane_mask(int64_t n) { return static_cast<__mmask16>((1u << n) - 1u); }

inline Vector zeros() { return _mm512_setzero_ps(); }
inline Vector all(float value) { return _mm512_set1_ps(value); }
inline Vector load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, Vector v) { _mm512_storeu_ps(p, v); }
// The first n lanes; memory beyond is not touched and reads as 0.
inline Vector load_first(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(lane_mask(n), p); }
inline void store_first(float* p, Vector v, int64_t n) { _mm512_mask_storeu_ps(p, lane_mask(n), v); }
// The first n lanes of v, the others from `rest`.
inline Vector keep_first(Vector v, Vector rest, int64_t n) { return _mm512_mask_mov_ps(rest, lane_mask(n), v); }

inline Vector add(Vector a, Vector b) { return _mm512_add_ps(a, b); }
inline Vector subtract(Vector a, Vector b) { return _mm512_sub_ps(a, b); }
inline Vector multiply(Vector a, Vector b) { return _mm512_mul_ps(a, b); }
inline Vector divide(Vector a, Vector b) { return _mm512_div_ps(a, b); }
inline Vector multiply_add(Vector a, Vector b, Vector c) { return _mm512_fmadd_ps(a, b, c); }          // a b + c
inline Vector negate_multiply_add(Vector a, Vector b, Vector c) { return _mm512_fnmadd_ps(a, b, c); }  // c - a b
inline Vector maximum(Vector value, Vector bound) { return _mm512_max_ps(value, bound); }  // NaN value gives bound

inline Vector square_root(Vector v) { return _mm512_sqrt_ps(v); }
// Lanes whose bit is set, lowest first, from the byte at i / 8; the others become 0. i is a multiple of kLanes.
inline Vector keep_bits(Vector v, const uint8_t* bits, int64_t i) {
  return _mm512_maskz_mov_ps(static_cast<__mmask16>(bits[i / 8] | bits[i / 8 + 1] << 8), v);
}

inline __m256 low_half(Vector v) { return _mm512_castps512_ps256(v); }
inline __m256 high_half(Vector v) { return _mm256_castpd_ps(_mm512_extractf64x4_pd(_mm512_castps_pd(v), 1)); }

inline float sum_lanes(Vector v) {
  const __m256 half = _mm256_add_ps(low_half(v), high_half(v));
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
inline float max_lanes(Vector v) {
  const __m256 half = _mm256_max_ps(low_half(v), high_half(v));
  __m128 m = _mm_max_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  m = _mm_max_ps(m, _mm_movehl_ps(m, m));
  return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

// A sum of f32 lanes kept in float64.
struct DoubleSum {
  __m512d low = _mm512_setzero_pd(), high = _mm512_setzero_pd();
  void add(Vector v) {
    low = _mm512_add_pd(low, _mm512_cvtps_pd(low_half(v)));
    high = _mm512_add_pd(high, _mm512_cvtps_pd(high_half(v)));
  }
  void add_square(Vector v) {
    const __m512d a = _mm512_cvtps_pd(low_half(v)), b = _mm512_cvtps_pd(high_half(v));
    low = _mm512_fmadd_pd(a, a, low);
    high = _mm512_fmadd_pd(b, b, high);
  }
  double total() const {
    const __m512d eight = _mm512_add_pd(low, high);
    const __m256d four = _mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd(eight, 1));
    const __m128d two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd(four, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
  }
};

// p 2^n for integral n.
inline Vector scale_by_power(Vector p, Vector n) { return _mm512_scalef_ps(p, n); }
inline Vector nearest_integer(Vector v) {
  return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// Into [low, high]; NaN stays NaN (the second operand of vminps / vmaxps is returned for NaN).
inline Vector clamp(Vector v, float low, float high) { return _mm512_max_ps(all(low), _mm512_min_ps(all(high), v)); }

inline Vector load_f16(const uint16_t* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
}
inline Vector load_bf16(const uint16_t* p) {
  const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}

inline Vector load_int8(const int8_t* p) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
}
// e4m3 values divided by kE4m3Unit, exactly: e4m3's fields where f16 has its, whose bias is 8 more. Codes are not NaN.
constexpr float kE4m3Unit = 256;
inline Vector load_e4m3(const uint8_t* p) {
  const __m256i wide = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  return _mm512_cvtph_ps(_mm256_and_si256(_mm256_slli_epi16(wide, 7), _mm256_set1_epi16(static_cast<int16_t>(0xbfff))));
}

// Rounded to nearest even; NaN stays NaN.
inline void store_bf16(uint16_t* p, Vector v) {
  const __m512i bits = _mm512_castps_si512(v);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(_mm512_set1_epi32(0x7fff), odd));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 is_nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
  const __m512i high = _mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, is_nan, quiet), 16);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(high));
}

}  // namespace
}  // namespace espalier

#include "kernels/vector_functions.h"
