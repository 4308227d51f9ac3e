// SPDX-License-Identifier: Apache-2.0
#include "kernels/simd_x86.h"
#include "quant/cell_ranges_avx512.h"
#include "quant/encode.h"
#include "quant/encode_tables.h"

namespace espalier {
namespace {

__m512 magnitude(__m512 x) { return _mm512_abs_ps(x); }
__m512i sign_bits(__m512 x) { return _mm512_srli_epi32(_mm512_castps_si512(x), 31); }

// Calls code(w's 16 values) -> codes in 32-bit lanes.
template <typename Code>
void for_vectors(const float* w, int64_t count, uint8_t* codes, Code&& code) {
  int64_t i = 0;
  for (; i + 16 <= count; i += 16) {
    fetch_ahead(w + i);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(codes + i), _mm512_cvtepi32_epi8(code(_mm512_loadu_ps(w + i))));
  }
  if (i == count) return;
  const __mmask16 mask = lanes(count - i);
  _mm_mask_storeu_epi8(codes + i, mask, _mm512_cvtepi32_epi8(code(_mm512_maskz_loadu_ps(mask, w + i))));
}

// Quotients by one divisor, as IEEE division gives them but for |x / d| beyond 2^20, which stays there, and below
// 2^-20: no code tells the difference. The reciprocal is rounded to nearest, so the second correction gives the nearest
// float (Markstein, 1990). Divisors so large or small that remainders would not be exact are divided by.
class Divider {
 public:
  explicit Divider(float divisor)
      : multiplies_(divisor > 0x1p-60f && divisor < 0x1p60f),
        divisor_(_mm512_set1_ps(divisor)),
        inverse_(_mm512_set1_ps(multiplies_ ? 1.0f / divisor : 0.0f)),
        most_(_mm512_set1_ps(multiplies_ ? divisor * 0x1p20f : 0.0f)),
        exact_((__builtin_bit_cast(uint32_t, divisor) & 0x7fffffu) == 0),
        zero_(divisor == 0) {}

  // Calls body(divide) with the way that this divisor allows.
  template <typename Body>
  void with(Body&& body) const {
    if (multiplies_ && exact_) {
      body([this](__m512 x) { return _mm512_mul_ps(x, inverse_); });
    } else if (multiplies_) {
      body([this](__m512 x) {
        x = _mm512_max_ps(_mm512_min_ps(x, most_), _mm512_sub_ps(_mm512_setzero_ps(), most_));
        __m512 q = _mm512_mul_ps(x, inverse_);
        q = _mm512_fmadd_ps(_mm512_fnmadd_ps(q, divisor_, x), inverse_, q);
        q = _mm512_fmadd_ps(_mm512_fnmadd_ps(q, divisor_, x), inverse_, q);
        // The corrections make -0 of a zero lose its sign.
        return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(_mm512_castps_si512(q), _mm512_castps_si512(x),
                                                             _mm512_set1_epi32(0x7fffffff), 0xe4));
      });
    } else if (zero_) {
      body([](__m512) { return _mm512_setzero_ps(); });
    } else {
      body([this](__m512 x) { return _mm512_div_ps(x, divisor_); });
    }
  }

 private:
  bool multiplies_;
  __m512 divisor_, inverse_, most_;
  bool exact_;  // a power of two
  bool zero_;
};

// Calls encode_cell(w, count, scale, zero, codes) for every cell.
template <typename EncodeCell>
void for_cells(const float* w, int64_t count, int64_t span, const float* scales, const float* zeros, uint8_t* codes,
               EncodeCell&& encode_cell) {
  for (int64_t begin = 0, cell = 0; begin < count; begin += span, ++cell)
    encode_cell(w + begin, begin + span < count ? span : count - begin, scales[cell],
                zeros == nullptr ? 0.0f : zeros[cell], codes + begin);
}

template <int kLeast, int kMost, int kOffset>
void encode_int(const float* w, int64_t count, int64_t span, const float* scales, const float* zeros, uint8_t* codes) {
  const __m512 least = _mm512_set1_ps(kLeast), most = _mm512_set1_ps(kMost);
  for_cells(w, count, span, scales, zeros, codes,
            [&](const float* x, int64_t n, float scale, float zero, uint8_t* out) {
              const __m512 shift = _mm512_set1_ps(zero);
              Divider(scale).with([&](auto&& divide) {
                for_vectors(x, n, out, [&](__m512 value) {
                  const __m512 place = _mm512_add_ps(divide(value), shift);
                  const __m512i q = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(place, least), most));
                  return _mm512_add_epi32(q, _mm512_set1_epi32(kOffset));
                });
              });
            });
}

// The code of x / scale: kMantissa bits; the smallest normal is 2^kLeastExponent; kLargest is the largest finite value.
template <int kMantissa, int kLeastExponent, int kLargest>
__m512i fp8_code(__m512 x) {
  constexpr int kDropped = 23 - kMantissa;
  const __m512 normal = _mm512_set1_ps(kLeastExponent == -6 ? 0x1p-6f : 0x1p-14f);
  const __m512 steps = _mm512_set1_ps(kLeastExponent == -6 ? 0x1p9f : 0x1p16f);
  const __m512 size = _mm512_min_ps(magnitude(x), _mm512_set1_ps(kLargest));
  const __m512i bits = _mm512_castps_si512(size);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, kDropped), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32((1 << (kDropped - 1)) - 1)));
  const __m512i large =
      _mm512_sub_epi32(_mm512_srli_epi32(rounded, kDropped), _mm512_set1_epi32((126 + kLeastExponent) << kMantissa));
  const __m512i small = _mm512_cvtps_epi32(_mm512_mul_ps(size, steps));
  const __m512i code = _mm512_mask_mov_epi32(large, _mm512_cmp_ps_mask(size, normal, _CMP_LT_OQ), small);
  return _mm512_or_si512(code, _mm512_slli_epi32(sign_bits(x), 7));
}

template <int kMantissa, int kLeastExponent, int kLargest>
void encode_fp8(const float* w, int64_t count, int64_t span, const float* scales, const float*, uint8_t* codes) {
  for_cells(w, count, span, scales, nullptr, codes, [](const float* x, int64_t n, float scale, float, uint8_t* out) {
    Divider(scale).with([&](auto&& divide) {
      for_vectors(x, n, out,
                  [&](__m512 value) { return fp8_code<kMantissa, kLeastExponent, kLargest>(divide(value)); });
    });
  });
}

// [-largest, largest], where codes no longer change beyond.
__m512 within(__m512 x, float largest) {
  return _mm512_min_ps(_mm512_max_ps(x, _mm512_set1_ps(-largest)), _mm512_set1_ps(largest));
}

// How many limits x exceeds: x's step knows all but one.
__m512i place_of(__m512 x, const LimitSteps<32>& steps) {
  const __m512i step =
      _mm512_castps_si512(_mm512_fmadd_ps(x, _mm512_set1_ps(steps.factor), _mm512_set1_ps(steps.shift)));
  const __m512 limit = _mm512_permutex2var_ps(_mm512_load_ps(steps.limit), step, _mm512_load_ps(steps.limit + 16));
  const __m512i below =
      _mm512_permutex2var_epi32(_mm512_load_si512(steps.below), step, _mm512_load_si512(steps.below + 16));
  const __mmask16 exceeds = _mm512_cmp_ps_mask(x, limit, _CMP_GT_OQ);
  return _mm512_mask_add_epi32(below, exceeds, below, _mm512_set1_epi32(1));
}

__m512i place_of(__m512 x, const LimitSteps<16>& steps) {
  const __m512i step =
      _mm512_castps_si512(_mm512_fmadd_ps(x, _mm512_set1_ps(steps.factor), _mm512_set1_ps(steps.shift)));
  const __m512 limit = _mm512_permutexvar_ps(step, _mm512_load_ps(steps.limit));
  const __m512i below = _mm512_permutexvar_epi32(step, _mm512_load_si512(steps.below));
  const __mmask16 exceeds = _mm512_cmp_ps_mask(x, limit, _CMP_GT_OQ);
  return _mm512_mask_add_epi32(below, exceeds, below, _mm512_set1_epi32(1));
}

float reciprocal(float scale) { return 1.0f / (scale > 1e-38f ? scale : 1e-38f); }

void encode_nf4(const float* w, int64_t count, int64_t span, const float* scales, const float*, uint8_t* codes) {
  for_cells(w, count, span, scales, nullptr, codes, [](const float* x, int64_t n, float scale, float, uint8_t* out) {
    const __m512 inverse = _mm512_set1_ps(reciprocal(scale));
    for_vectors(x, n, out,
                [&](__m512 value) { return place_of(within(_mm512_mul_ps(value, inverse), 1.0f), kNf4Steps); });
  });
}

void encode_fp4(const float* w, int64_t count, int64_t span, const float* scales, const float*, uint8_t* codes) {
  const __m512i table = _mm512_castsi256_si512(_mm256_load_si256(reinterpret_cast<const __m256i*>(kFp4PlaceCodes)));
  for_cells(w, count, span, scales, nullptr, codes, [&](const float* x, int64_t n, float scale, float, uint8_t* out) {
    const __m512 inverse = _mm512_set1_ps(reciprocal(scale));
    for_vectors(x, n, out, [&](__m512 value) {
      const __m512 scaled = _mm512_mul_ps(value, inverse);
      const __m512 size = _mm512_min_ps(magnitude(scaled), _mm512_set1_ps(1.0f));
      const __m512i code = _mm512_permutexvar_epi32(place_of(size, kFp4Steps), table);
      const __mmask16 negative = _mm512_cmp_ps_mask(scaled, _mm512_setzero_ps(), _CMP_LT_OQ);
      return _mm512_mask_or_epi32(code, negative, code, _mm512_set1_epi32(8));
    });
  });
}

void encode_e2m1(const float* w, int64_t count, int64_t span, const float* scales, const float*, uint8_t* codes) {
  for_cells(w, count, span, scales, nullptr, codes, [](const float* x, int64_t n, float scale, float, uint8_t* out) {
    Divider(scale).with([&](auto&& divide) {
      for_vectors(x, n, out, [&](__m512 value) {
        const __m512 scaled = divide(value);
        const __m512 size = _mm512_min_ps(magnitude(scaled), _mm512_set1_ps(6.0f));
        return _mm512_or_si512(place_of(size, kE2M1Steps), _mm512_slli_epi32(sign_bits(scaled), 3));
      });
    });
  });
}

}  // namespace

const EncodeKernel encode_avx512 = {"encode_avx512",
                                    cell_ranges,
                                    {encode_int<-128, 127, 0>, encode_int<-8, 7, 8>, encode_fp8<3, -6, 448>,
                                     encode_fp8<2, -14, 57344>, encode_nf4, encode_fp4, encode_e2m1}};

}  // namespace espalier
