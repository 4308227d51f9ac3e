// SPDX-License-Identifier: Apache-2.0
#include "kernels/simd_x86.h"
#include "quant/cell_ranges_avx2.h"
#include "quant/encode.h"
#include "quant/encode_tables.h"

namespace espalier {
namespace {

// Codes in 32-bit lanes -> bytes.
void store_codes(__m256i codes, uint8_t* out, int64_t count) {
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
  const __m128i low = _mm_and_si128(words, _mm_set1_epi16(0xff));
  const __m128i bytes = _mm_packus_epi16(low, low);
  if (count == 8) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), bytes);
    return;
  }
  alignas(16) uint8_t last[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(last), bytes);
  for (int64_t i = 0; i < count; ++i) out[i] = last[i];
}

// Calls code_of(scale, zero) for every cell, and what it returns, a vector of weights -> codes, for the cell's vectors.
template <typename CodeOf>
void for_codes(const float* w, int64_t count, int64_t span, const float* scales, const float* zeros, uint8_t* codes,
               CodeOf&& code_of) {
  for (int64_t begin = 0, cell = 0; begin < count; begin += span, ++cell) {
    const auto code = code_of(scales[cell], zeros == nullptr ? 0.0f : zeros[cell]);
    uint8_t* out = codes + begin;
    for_vectors(w + begin, begin + span < count ? span : count - begin,
                [&](__m256 value, int64_t at, int64_t here) { store_codes(code(value), out + at, here); });
  }
}

__m256 magnitude(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
__m256i sign_bits(__m256 x) { return _mm256_srli_epi32(_mm256_castps_si256(x), 31); }

// x / divisor; 0 where the divisor is.
class Divider {
 public:
  explicit Divider(float divisor)
      : divisor_(_mm256_set1_ps(divisor == 0 ? 1.0f : divisor)),
        keep_(_mm256_castsi256_ps(_mm256_set1_epi32(divisor == 0 ? 0 : -1))) {}
  __m256 operator()(__m256 x) const { return _mm256_div_ps(_mm256_and_ps(x, keep_), divisor_); }

 private:
  __m256 divisor_, keep_;
};

template <int kLeast, int kMost, int kOffset>
void encode_int(const float* w, int64_t count, int64_t span, const float* scales, const float* zeros, uint8_t* codes) {
  const __m256 least = _mm256_set1_ps(kLeast), most = _mm256_set1_ps(kMost);
  for_codes(w, count, span, scales, zeros, codes, [&](float scale, float zero) {
    return [=, divide = Divider(scale), shift = _mm256_set1_ps(zero)](__m256 value) {
      const __m256 place = _mm256_add_ps(divide(value), shift);
      const __m256i q = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(place, least), most));
      return _mm256_add_epi32(q, _mm256_set1_epi32(kOffset));
    };
  });
}

// The code of x / scale: kMantissa bits; the smallest normal is 2^kLeastExponent; kLargest is the largest finite value.
template <int kMantissa, int kLeastExponent, int kLargest>
__m256i fp8_code(__m256 x) {
  constexpr int kDropped = 23 - kMantissa;
  const __m256 normal = _mm256_set1_ps(kLeastExponent == -6 ? 0x1p-6f : 0x1p-14f);
  const __m256 steps = _mm256_set1_ps(kLeastExponent == -6 ? 0x1p9f : 0x1p16f);
  const __m256 size = _mm256_min_ps(magnitude(x), _mm256_set1_ps(kLargest));
  const __m256i bits = _mm256_castps_si256(size);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, kDropped), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32((1 << (kDropped - 1)) - 1)));
  const __m256i large =
      _mm256_sub_epi32(_mm256_srli_epi32(rounded, kDropped), _mm256_set1_epi32((126 + kLeastExponent) << kMantissa));
  const __m256i small = _mm256_cvtps_epi32(_mm256_mul_ps(size, steps));
  const __m256i is_small = _mm256_castps_si256(_mm256_cmp_ps(size, normal, _CMP_LT_OQ));
  return _mm256_or_si256(_mm256_blendv_epi8(large, small, is_small), _mm256_slli_epi32(sign_bits(x), 7));
}

template <int kMantissa, int kLeastExponent, int kLargest>
void encode_fp8(const float* w, int64_t count, int64_t span, const float* scales, const float*, uint8_t* codes) {
  for_codes(w, count, span, scales, nullptr, codes, [](float scale, float) {
    return [divide = Divider(scale)](__m256 value) {
      return fp8_code<kMantissa, kLeastExponent, kLargest>(divide(value));
    };
  });
}

// How many of the 7 limits x exceeds, `limits_of(place)` giving each lane's limit.
template <typename Limits>
__m256i place_of(__m256 x, Limits&& limits_of) {
  __m256i place = _mm256_setzero_si256();
#pragma GCC unroll 3
  for (int step = 4; step > 0; step /= 2) {
    const __m256 limit = limits_of(_mm256_add_epi32(place, _mm256_set1_epi32(step - 1)));
    const __m256i above = _mm256_castps_si256(_mm256_cmp_ps(x, limit, _CMP_GT_OQ));
    place = _mm256_add_epi32(place, _mm256_and_si256(above, _mm256_set1_epi32(step)));
  }
  return place;
}

__m256i place_of(__m256 x, __m256 limits) {
  return place_of(x, [&](__m256i place) { return _mm256_permutevar8x32_ps(limits, place); });
}

float reciprocal(float scale) { return 1.0f / (scale > 1e-38f ? scale : 1e-38f); }

void encode_nf4(const float* w, int64_t count, int64_t span, const float* scales, const float*, uint8_t* codes) {
  const __m256 low = _mm256_load_ps(kNf4Limits), high = _mm256_load_ps(kNf4Limits + 8);
  const __m256 middle = _mm256_set1_ps(kNf4Limits[7]);
  for_codes(w, count, span, scales, nullptr, codes, [=](float scale, float) {
    return [=, inverse = _mm256_set1_ps(reciprocal(scale))](__m256 value) {
      const __m256 x = _mm256_mul_ps(value, inverse);
      const __m256 upper = _mm256_cmp_ps(x, middle, _CMP_GT_OQ);
      const __m256i place = place_of(x, [&](__m256i at) {
        return _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, at), _mm256_permutevar8x32_ps(high, at), upper);
      });
      return _mm256_add_epi32(place, _mm256_and_si256(_mm256_castps_si256(upper), _mm256_set1_epi32(8)));
    };
  });
}

void encode_fp4(const float* w, int64_t count, int64_t span, const float* scales, const float*, uint8_t* codes) {
  const __m256 limits = _mm256_load_ps(kFp4Limits);
  const __m256i table = _mm256_load_si256(reinterpret_cast<const __m256i*>(kFp4PlaceCodes));
  for_codes(w, count, span, scales, nullptr, codes, [=](float scale, float) {
    return [=, inverse = _mm256_set1_ps(reciprocal(scale))](__m256 value) {
      const __m256 x = _mm256_mul_ps(value, inverse);
      const __m256i code = _mm256_permutevar8x32_epi32(table, place_of(magnitude(x), limits));
      const __m256i negative = _mm256_castps_si256(_mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ));
      return _mm256_or_si256(code, _mm256_and_si256(negative, _mm256_set1_epi32(8)));
    };
  });
}

void encode_e2m1(const float* w, int64_t count, int64_t span, const float* scales, const float*, uint8_t* codes) {
  const __m256 limits = _mm256_load_ps(kE2M1Limits);
  for_codes(w, count, span, scales, nullptr, codes, [=](float scale, float) {
    return [=, divide = Divider(scale)](__m256 value) {
      const __m256 x = divide(value);
      return _mm256_or_si256(place_of(magnitude(x), limits), _mm256_slli_epi32(sign_bits(x), 3));
    };
  });
}

}  // namespace

const EncodeKernel encode_avx2 = {"encode_avx2",
                                  cell_ranges,
                                  {encode_int<-128, 127, 0>, encode_int<-8, 7, 8>, encode_fp8<3, -6, 448>,
                                   encode_fp8<2, -14, 57344>, encode_nf4, encode_fp4, encode_e2m1}};

}  // namespace espalier
