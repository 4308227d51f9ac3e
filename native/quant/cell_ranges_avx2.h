// Least and most of cells of weights, eight short cells at a time. Everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "kernels/simd_x86.h"

namespace espalier {
namespace {

// Weights are met twice, in chunks that stay in the nearest cache: the next chunk comes while this one is worked on.
constexpr int64_t kFetchAhead = 4096;

// Calls body(w at, count of at most 8, place) for every vector; the last one may be short.
template <typename Body>
void for_vectors(const float* w, int64_t count, Body&& body) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    _mm_prefetch(reinterpret_cast<const char*>(w + i + kFetchAhead), _MM_HINT_T0);
    body(_mm256_loadu_ps(w + i), i, int64_t{8});
  }
  if (i == count) return;
  alignas(32) float last[8] = {};
  for (int64_t j = i; j < count; ++j) last[j - i] = w[j];
  body(_mm256_load_ps(last), i, count - i);
}

struct LeastOf {
  __m256 operator()(__m256 a, __m256 b) const { return _mm256_min_ps(a, b); }
};
struct MostOf {
  __m256 operator()(__m256 a, __m256 b) const { return _mm256_max_ps(a, b); }
};

// Reduces each of v[0..7]; lane i of the result is v[i]'s.
template <typename Of>
__m256 reduce_eight(const __m256* v, Of of) {
  __m256 quads[2];  // half of 4: that half of v[4 q .. 4 q + 3]
  for (int q = 0; q < 2; ++q) {
    const __m256* four = v + 4 * q;
    const __m256d low =
        _mm256_castps_pd(of(_mm256_unpacklo_ps(four[0], four[1]), _mm256_unpackhi_ps(four[0], four[1])));
    const __m256d high =
        _mm256_castps_pd(of(_mm256_unpacklo_ps(four[2], four[3]), _mm256_unpackhi_ps(four[2], four[3])));
    quads[q] = of(_mm256_castpd_ps(_mm256_unpacklo_pd(low, high)), _mm256_castpd_ps(_mm256_unpackhi_pd(low, high)));
  }
  return of(_mm256_permute2f128_ps(quads[0], quads[1], 0x20), _mm256_permute2f128_ps(quads[0], quads[1], 0x31));
}

// What weights of a cell have come to so far.
struct CellRange {
  __m256 least = _mm256_setzero_ps(), most = _mm256_setzero_ps();
  void add(__m256 value, __m256i* sizes) {
    least = _mm256_min_ps(least, value);
    most = _mm256_max_ps(most, value);
    *sizes = _mm256_max_epu32(*sizes, _mm256_slli_epi32(_mm256_castps_si256(value), 1));
  }
};

// Eight cells of `span` weights, a multiple of 8.
void eight_ranges(const float* w, int64_t span, float* low, float* high, __m256i* sizes) {
  __m256 least[8], most[8];
  for (int cell = 0; cell < 8; ++cell) {
    CellRange range;
    for (int64_t i = 0; i < span; i += 8) range.add(_mm256_loadu_ps(w + cell * span + i), sizes);
    least[cell] = range.least;
    most[cell] = range.most;
  }
  _mm256_storeu_ps(low, reduce_eight(least, LeastOf{}));
  _mm256_storeu_ps(high, reduce_eight(most, MostOf{}));
}

void one_range(const float* w, int64_t count, float* low, float* high, __m256i* sizes) {
  CellRange range;
  for_vectors(w, count, [&](__m256 value, int64_t, int64_t) { range.add(value, sizes); });
  alignas(32) float values[16];
  _mm256_store_ps(values, range.least);
  _mm256_store_ps(values + 8, range.most);
  *low = *high = 0;
  for (int i = 0; i < 8; ++i) {
    *low = values[i] < *low ? values[i] : *low;
    *high = values[8 + i] > *high ? values[8 + i] : *high;
  }
}

// EncodeKernel::ranges
bool cell_ranges(const float* w, int64_t count, int64_t span, float* low, float* high) {
  __m256i sizes = _mm256_setzero_si256();  // without their signs, infinity and NaN have the largest bits
  int64_t begin = 0, cell = 0;
  if (span % 8 == 0 && span <= 256)
    for (; begin + 8 * span <= count; begin += 8 * span, cell += 8)
      eight_ranges(w + begin, span, low + cell, high + cell, &sizes);
  for (; begin < count; begin += span, ++cell)
    one_range(w + begin, begin + span < count ? span : count - begin, low + cell, high + cell, &sizes);
  alignas(32) uint32_t bits[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(bits), sizes);
  bool finite = true;
  for (const uint32_t size : bits) finite = finite && size <= 0x7f7fffffu << 1;
  return finite;
}

}  // namespace
}  // namespace espalier
