// SPDX-License-Identifier: Apache-2.0
#include "kernels/simd_x86.h"
#include "quant/encode.h"
#include "quant/encode_tables.h"

namespace espalier {
namespace {

__mmask16 lanes(int64_t count) { return count >= 16 ? __mmask16{0xffff} : static_cast<__mmask16>((1u << count) - 1u); }

bool range(const float* w, int64_t count, float* low, float* high) {
  __m512 least[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()}, most[2] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
  __m512i sizes[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (int64_t i = 0; i < count; i += 32)
    for (int half = 0; half < 2; ++half) {
      const int64_t at = i + half * 16;
      if (at >= count) break;
      const __m512 value = _mm512_maskz_loadu_ps(lanes(count - at), w + at);
      least[half] = _mm512_min_ps(least[half], value);
      most[half] = _mm512_max_ps(most[half], value);
      sizes[half] = _mm512_max_epu32(sizes[half], _mm512_slli_epi32(_mm512_castps_si512(value), 1));
    }
  *low = _mm512_reduce_min_ps(_mm512_min_ps(least[0], least[1]));
  *high = _mm512_reduce_max_ps(_mm512_max_ps(most[0], most[1]));
  // Without their signs, infinity and NaN have the largest bits.
  return _mm512_reduce_max_epu32(_mm512_max_epu32(sizes[0], sizes[1])) <= 0x7f7fffffu << 1;
}

__m512 magnitude(__m512 x) { return _mm512_abs_ps(x); }
__m512i sign_bits(__m512 x) { return _mm512_srli_epi32(_mm512_castps_si512(x), 31); }

// Calls code(w's 16 values) -> codes in 32-bit lanes.
template <typename Code>
void for_vectors(const float* w, int64_t count, uint8_t* codes, Code&& code) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = lanes(count - i);
    _mm_mask_storeu_epi8(codes + i, mask, _mm512_cvtepi32_epi8(code(_mm512_maskz_loadu_ps(mask, w + i))));
  }
}

template <int kLeast, int kMost, int kOffset>
void encode_int(const float* w, int64_t count, float scale, float zero, uint8_t* codes) {
  const __m512 divisor = _mm512_set1_ps(scale), shift = _mm512_set1_ps(zero);
  const __m512 least = _mm512_set1_ps(kLeast), most = _mm512_set1_ps(kMost);
  for_vectors(w, count, codes, [&](__m512 value) {
    const __m512 place = scale == 0 ? shift : _mm512_add_ps(_mm512_div_ps(value, divisor), shift);
    const __m512i q = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(place, least), most));
    return _mm512_add_epi32(q, _mm512_set1_epi32(kOffset));
  });
}

// kMantissa bits; the smallest normal is 2^kLeastExponent; kLargest is the largest finite value.
template <int kMantissa, int kLeastExponent, int kLargest>
void encode_fp8(const float* w, int64_t count, float scale, float, uint8_t* codes) {
  constexpr int kDropped = 23 - kMantissa;
  const __m512 divisor = _mm512_set1_ps(scale), normal = _mm512_set1_ps(kLeastExponent == -6 ? 0x1p-6f : 0x1p-14f);
  const __m512 steps = _mm512_set1_ps(kLeastExponent == -6 ? 0x1p9f : 0x1p16f);
  for_vectors(w, count, codes, [&](__m512 value) {
    const __m512 x = scale == 0 ? _mm512_setzero_ps() : _mm512_div_ps(value, divisor);
    const __m512 size = _mm512_min_ps(magnitude(x), _mm512_set1_ps(kLargest));
    const __m512i bits = _mm512_castps_si512(size);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, kDropped), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32((1 << (kDropped - 1)) - 1)));
    const __m512i large =
        _mm512_sub_epi32(_mm512_srli_epi32(rounded, kDropped), _mm512_set1_epi32((126 + kLeastExponent) << kMantissa));
    const __m512i small = _mm512_cvtps_epi32(_mm512_mul_ps(size, steps));
    const __m512i code = _mm512_mask_mov_epi32(large, _mm512_cmp_ps_mask(size, normal, _CMP_LT_OQ), small);
    return _mm512_or_si512(code, _mm512_slli_epi32(sign_bits(x), 7));
  });
}

// How many of `limits` x exceeds.
template <int kSteps>
__m512i place_of(__m512 x, __m512 limits) {
  __m512i place = _mm512_setzero_si512();
#pragma GCC unroll 4
  for (int step = 1 << (kSteps - 1); step > 0; step /= 2) {
    const __m512 limit = _mm512_permutexvar_ps(_mm512_add_epi32(place, _mm512_set1_epi32(step - 1)), limits);
    place = _mm512_mask_add_epi32(place, _mm512_cmp_ps_mask(x, limit, _CMP_GT_OQ), place, _mm512_set1_epi32(step));
  }
  return place;
}

__m512 load8(const float* values) { return _mm512_castps256_ps512(_mm256_load_ps(values)); }

float reciprocal(float scale) { return 1.0f / (scale > 1e-38f ? scale : 1e-38f); }

void encode_nf4(const float* w, int64_t count, float scale, float, uint8_t* codes) {
  const __m512 inverse = _mm512_set1_ps(reciprocal(scale)), limits = _mm512_load_ps(kNf4Limits);
  for_vectors(w, count, codes, [&](__m512 value) { return place_of<4>(_mm512_mul_ps(value, inverse), limits); });
}

void encode_fp4(const float* w, int64_t count, float scale, float, uint8_t* codes) {
  const __m512 inverse = _mm512_set1_ps(reciprocal(scale)), limits = load8(kFp4Limits);
  const __m512i table = _mm512_castsi256_si512(_mm256_load_si256(reinterpret_cast<const __m256i*>(kFp4PlaceCodes)));
  for_vectors(w, count, codes, [&](__m512 value) {
    const __m512 x = _mm512_mul_ps(value, inverse);
    const __m512i code = _mm512_permutexvar_epi32(place_of<3>(magnitude(x), limits), table);
    const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
    return _mm512_mask_or_epi32(code, negative, code, _mm512_set1_epi32(8));
  });
}

void encode_e2m1(const float* w, int64_t count, float scale, float, uint8_t* codes) {
  const __m512 divisor = _mm512_set1_ps(scale), limits = load8(kE2M1Limits);
  for_vectors(w, count, codes, [&](__m512 value) {
    const __m512 x = scale == 0 ? _mm512_setzero_ps() : _mm512_div_ps(value, divisor);
    return _mm512_or_si512(place_of<3>(magnitude(x), limits), _mm512_slli_epi32(sign_bits(x), 3));
  });
}

}  // namespace

const EncodeKernel encode_avx512 = {"encode_avx512",
                                    range,
                                    {encode_int<-128, 127, 0>, encode_int<-8, 7, 8>, encode_fp8<3, -6, 448>,
                                     encode_fp8<2, -14, 57344>, encode_nf4, encode_fp4, encode_e2m1}};

}  // namespace espalier
