// What happens to 16 finished sums on AVX-512. Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "kernels/simd_x86.h"

namespace espalier {
namespace {

inline __mmask16 lanes(int64_t count) {
  return count >= 16 ? static_cast<__mmask16>(0xffff) : count <= 0 ? 0 : static_cast<__mmask16>((1u << count) - 1);
}

// Of one panel: 16 columns, those that exist in mask.
struct Epilogue {
  __m512 scale;
  __m512 bias;
  __mmask16 mask;
  bool scaled, biased, accumulate;
};

// scale and bias point at the first of `columns` columns; panel p of them.
inline Epilogue epilogue_of(const float* scale, const float* bias, int64_t columns, int p, bool accumulate) {
  Epilogue e;
  e.mask = lanes(columns - p * 16);
  e.scaled = scale != nullptr;
  e.biased = bias != nullptr;
  e.accumulate = accumulate;
  e.scale = e.scaled ? _mm512_loadu_ps(scale + p * 16) : _mm512_setzero_ps();
  e.bias = e.biased ? _mm512_maskz_loadu_ps(e.mask, bias + p * 16) : _mm512_setzero_ps();
  return e;
}

// Products and sums rounded one by one, in this order, on every ISA.
inline void store(const Epilogue& e, float* out, __m512 value) {
  if (e.scaled) value = _mm512_mul_ps(value, e.scale);
  if (e.biased) value = _mm512_add_ps(value, e.bias);
  if (e.accumulate) value = _mm512_add_ps(_mm512_maskz_loadu_ps(e.mask, out), value);
  _mm512_mask_storeu_ps(out, e.mask, value);
}

}  // namespace
}  // namespace espalier
