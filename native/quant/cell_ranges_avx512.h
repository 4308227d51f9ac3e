// Least and most of cells of weights, sixteen short cells at a time. Everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "kernels/simd_x86.h"

namespace espalier {
namespace {

// Weights are met twice, in chunks that stay in the nearest cache: the next chunk comes while this one is worked on.
constexpr int64_t kFetchAhead = 4096;
void fetch_ahead(const float* w) { _mm_prefetch(reinterpret_cast<const char*>(w + kFetchAhead), _MM_HINT_T0); }

__mmask16 lanes(int64_t count) { return count >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << count) - 1u); }

struct LeastOf {
  __m512 operator()(__m512 a, __m512 b) const { return _mm512_min_ps(a, b); }
};
struct MostOf {
  __m512 operator()(__m512 a, __m512 b) const { return _mm512_max_ps(a, b); }
};

// Reduces each of v[0..15]; lane i of the result is v[i]'s.
template <typename Of>
__m512 reduce_sixteen(const __m512* v, Of of) {
  __m512 quads[4];  // lane of 4: sums of that lane of v[4 q .. 4 q + 3]
  for (int q = 0; q < 4; ++q) {
    const __m512* four = v + 4 * q;
    const __m512d low =
        _mm512_castps_pd(of(_mm512_unpacklo_ps(four[0], four[1]), _mm512_unpackhi_ps(four[0], four[1])));
    const __m512d high =
        _mm512_castps_pd(of(_mm512_unpacklo_ps(four[2], four[3]), _mm512_unpackhi_ps(four[2], four[3])));
    quads[q] = of(_mm512_castpd_ps(_mm512_unpacklo_pd(low, high)), _mm512_castpd_ps(_mm512_unpackhi_pd(low, high)));
  }
  const auto fold = [&](__m512 a, __m512 b) {
    return of(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
  };
  return fold(fold(quads[0], quads[1]), fold(quads[2], quads[3]));
}

// What weights of a cell have come to so far.
struct CellRange {
  __m512 least = _mm512_setzero_ps(), most = _mm512_setzero_ps();
  void add(__m512 value, __m512i* sizes) {
    least = _mm512_min_ps(least, value);
    most = _mm512_max_ps(most, value);
    *sizes = _mm512_max_epu32(*sizes, _mm512_slli_epi32(_mm512_castps_si512(value), 1));
  }
};

// Sixteen cells of `span` weights, a multiple of 16.
void sixteen_ranges(const float* w, int64_t span, float* low, float* high, __m512i* sizes) {
  __m512 least[16], most[16];
  for (int cell = 0; cell < 16; ++cell) {
    CellRange range;
    fetch_ahead(w + cell * span);
    for (int64_t i = 0; i < span; i += 16) range.add(_mm512_loadu_ps(w + cell * span + i), sizes);
    least[cell] = range.least;
    most[cell] = range.most;
  }
  _mm512_storeu_ps(low, reduce_sixteen(least, LeastOf{}));
  _mm512_storeu_ps(high, reduce_sixteen(most, MostOf{}));
}

void one_range(const float* w, int64_t count, float* low, float* high, __m512i* sizes) {
  CellRange ranges[2];
  __m512i odd_sizes = _mm512_setzero_si512();
  int64_t i = 0;
  for (; i + 32 <= count; i += 32) {
    fetch_ahead(w + i);
    ranges[0].add(_mm512_loadu_ps(w + i), sizes);
    ranges[1].add(_mm512_loadu_ps(w + i + 16), &odd_sizes);
  }
  for (; i < count; i += 16) ranges[0].add(_mm512_maskz_loadu_ps(lanes(count - i), w + i), sizes);
  *sizes = _mm512_max_epu32(*sizes, odd_sizes);
  *low = _mm512_reduce_min_ps(_mm512_min_ps(ranges[0].least, ranges[1].least));
  *high = _mm512_reduce_max_ps(_mm512_max_ps(ranges[0].most, ranges[1].most));
}

// EncodeKernel::ranges
bool cell_ranges(const float* w, int64_t count, int64_t span, float* low, float* high) {
  __m512i sizes = _mm512_setzero_si512();  // without their signs, infinity and NaN have the largest bits
  int64_t begin = 0, cell = 0;
  if (span % 16 == 0 && span <= 256)
    for (; begin + 16 * span <= count; begin += 16 * span, cell += 16)
      sixteen_ranges(w + begin, span, low + cell, high + cell, &sizes);
  for (; begin < count; begin += span, ++cell)
    one_range(w + begin, begin + span < count ? span : count - begin, low + cell, high + cell, &sizes);
  return _mm512_reduce_max_epu32(sizes) <= 0x7f7fffffu << 1;
}

}  // namespace
}  // namespace espalier
