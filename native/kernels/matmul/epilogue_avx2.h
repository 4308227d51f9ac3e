// What happens to 16 finished sums (two vectors) on AVX2. Only ISA files include this; everything is local to the
// including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "kernels/simd_x86.h"

namespace espalier {
namespace {

// All ones in the first `count` of eight lanes.
inline __m256i lanes(int64_t count) {
  const int limit = count >= 8 ? 8 : count <= 0 ? 0 : static_cast<int>(count);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(limit), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

// Of one panel: 16 columns as two halves, those that exist in mask.
struct Epilogue {
  __m256 scale[2];
  __m256 bias[2];
  __m256i mask[2];
  bool scaled, biased, accumulate, full;
};

// scale [16] and bias [columns] or nullptr.
inline Epilogue epilogue_of(const float* scale, const float* bias, int64_t columns, bool accumulate) {
  Epilogue e;
  e.scaled = scale != nullptr;
  e.biased = bias != nullptr;
  e.accumulate = accumulate;
  e.full = columns >= 16;
  for (int half = 0; half < 2; ++half) {
    e.mask[half] = lanes(columns - half * 8);
    e.scale[half] = e.scaled ? _mm256_loadu_ps(scale + half * 8) : _mm256_setzero_ps();
    e.bias[half] = e.biased ? _mm256_maskload_ps(bias + half * 8, e.mask[half]) : _mm256_setzero_ps();
  }
  return e;
}

// Products and sums rounded one by one, in this order, on every ISA. out: the panel's first column.
inline void store(const Epilogue& e, float* out, int half, __m256 value) {
  out += half * 8;
  if (e.scaled) value = _mm256_mul_ps(value, e.scale[half]);
  if (e.biased) value = _mm256_add_ps(value, e.bias[half]);
  if (e.full) {
    if (e.accumulate) value = _mm256_add_ps(_mm256_loadu_ps(out), value);
    return _mm256_storeu_ps(out, value);
  }
  if (e.accumulate) value = _mm256_add_ps(_mm256_maskload_ps(out, e.mask[half]), value);
  _mm256_maskstore_ps(out, e.mask[half], value);
}

}  // namespace
}  // namespace espalier
