// Activation stages for AVX-512.
// SPDX-License-Identifier: Apache-2.0
#include <cfloat>

#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/interleave_avx512.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

constexpr int64_t kChunk = 256;  // words of each row converted at a time before they are interleaved

__m512i magnitude_bits(__m512 value) {
  return _mm512_and_si512(_mm512_castps_si512(value), _mm512_set1_epi32(0x7fffffff));
}

// Nearest even on the upper 16 bits; NaN is quieted. Gives f32 bit patterns.
__m512i round_to_bf16(__m512 value) {
  const __m512i bits = _mm512_castps_si512(value);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
  const __mmask16 nan = _mm512_cmp_ps_mask(value, value, _CMP_UNORD_Q);
  return _mm512_and_si512(_mm512_mask_mov_epi32(rounded, nan, quiet), _mm512_set1_epi32(static_cast<int>(0xffff0000u)));
}

void run_f32(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*, float) {
  interleave_rows(reinterpret_cast<const uint32_t*>(x), ldx, rows, k, tile_rows, words);
}

void round_row(const float* x, int64_t count, uint32_t* out) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = lanes(count - i);
    _mm512_mask_storeu_epi32(out + i, mask, round_to_bf16(_mm512_maskz_loadu_ps(mask, x + i)));
  }
}

void run_bf16_as_f32(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*,
                     float) {
  if (tile_rows == 1) return round_row(x, k, words);
  alignas(64) uint32_t chunk[16 * kChunk];
  for (int64_t i = 0; i < k; i += kChunk) {
    const int64_t count = k - i < kChunk ? k - i : kChunk;
    for (int64_t row = 0; row < rows; ++row) round_row(x + row * ldx + i, count, chunk + row * kChunk);
    interleave_rows(chunk, kChunk, rows, count, tile_rows, words + i * tile_rows);
  }
}

// Of kRows rows at once: each is a stream of its own to the prefetchers.
template <int kRows>
void row_absmax(const float* x, int64_t ldx, int64_t k, float* absmax) {
  __m512i largest[kRows];
  for (__m512i& row : largest) row = _mm512_setzero_si512();
  for (int64_t i = 0; i < k; i += 16)
    for (int r = 0; r < kRows; ++r)
      largest[r] = _mm512_max_epu32(largest[r], magnitude_bits(_mm512_maskz_loadu_ps(lanes(k - i), x + r * ldx + i)));
  for (int r = 0; r < kRows; ++r)
    absmax[r] =
        _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(_mm512_reduce_max_epu32(largest[r])))));
}

// x [count] -> bytes round(x * inverse) + 128, or (kGiven) round(x / inverse) + 128, padded with 128 to whole words.
template <bool kGiven>
void quantize_row(const float* x, int64_t count, float inverse, uint8_t* out) {
  const __m512 factor = _mm512_set1_ps(inverse);
  for (int64_t i = 0; i < count; i += 16) {
    const __m512 value = _mm512_maskz_loadu_ps(lanes(count - i), x + i);
    __m512 steps = kGiven ? _mm512_div_ps(value, factor) : _mm512_mul_ps(value, factor);
    // What does not fit int32 would come out as its smallest value; below, saturation does.
    if (kGiven) steps = _mm512_min_ps(steps, _mm512_set1_ps(127.0f));
    const __m512i q = _mm512_cvtps_epi32(steps);
    const __m128i bytes = _mm_xor_si128(_mm512_cvtsepi32_epi8(q), _mm_set1_epi8(static_cast<char>(0x80)));
    _mm_mask_storeu_epi8(out + i, lanes((count - i + 3) / 4 * 4), bytes);
  }
}

// Of 32 int8.
int32_t sum_bytes(__m256i bytes) {
  const __m256i above = _mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(0x80)));
  const __m256i sums = _mm256_sad_epu8(above, _mm256_setzero_si256());
  const __m128i two = _mm_add_epi64(_mm256_castsi256_si128(sums), _mm256_extracti128_si256(sums, 1));
  return _mm_cvtsi128_si32(_mm_add_epi64(two, _mm_unpackhi_epi64(two, two))) - 32 * 128;
}

// The scale under which absmax is `most`, and what to multiply values with; see stage_int8_ref.
float inverse_scale(float absmax, float most, float* scale) {
  const bool finite = absmax <= FLT_MAX, tiny = absmax < kInt8TinyAbsmax;
  *scale = !finite ? __builtin_nanf("") : tiny ? 0.0f : absmax / most;
  return !finite || tiny ? 0.0f : most / absmax;
}

// The same of a row of int8; a scale that is given is what to divide by.
float row_factor(float absmax, float input_scale, float* scale) {
  if (input_scale == 0) return inverse_scale(absmax, 127.0f, scale);
  *scale = absmax <= FLT_MAX ? input_scale : __builtin_nanf("");
  return input_scale;
}

void run_uint8(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float* scale,
               float input_scale) {
  const auto convert = input_scale > 0 ? quantize_row<true> : quantize_row<false>;
  float inverse[16];
  int64_t done = 0;
  for (; done + 4 <= rows; done += 4) row_absmax<4>(x + done * ldx, ldx, k, inverse + done);
  for (; done < rows; ++done) row_absmax<1>(x + done * ldx, ldx, k, inverse + done);
  for (int64_t row = 0; row < rows; ++row) inverse[row] = row_factor(inverse[row], input_scale, scale + row);
  if (tile_rows == 1) return convert(x, k, inverse[0], reinterpret_cast<uint8_t*>(words));
  alignas(64) uint32_t chunk[16 * kChunk];
  for (int64_t i = 0; i < k; i += 4 * kChunk) {
    const int64_t count = k - i < 4 * kChunk ? k - i : 4 * kChunk;
    for (int64_t row = 0; row < rows; ++row)
      convert(x + row * ldx + i, count, inverse[row], reinterpret_cast<uint8_t*>(chunk + row * kChunk));
    interleave_rows(chunk, kChunk, rows, (count + 3) / 4, tile_rows, words + i / 4 * tile_rows);
  }
}

// Up to 32 values.
struct FloatGroup {
  __m512 low, high;
  FloatGroup(const float* x, int64_t count)
      : low(_mm512_maskz_loadu_ps(lanes(count), x)), high(_mm512_maskz_loadu_ps(lanes(count - 16), x + 16)) {}
  float absmax() const {
    const __m512i largest = _mm512_max_epu32(magnitude_bits(low), magnitude_bits(high));
    return _mm_cvtss_f32(_mm_castsi128_ps(_mm_cvtsi32_si128(static_cast<int>(_mm512_reduce_max_epu32(largest)))));
  }
};

// Up to 32 values under one scale -> scale, sum, 32 q; see stage_int8_groups_ref.
void quantize_group(const float* x, int64_t count, uint32_t* words) {
  const FloatGroup group(x, count);
  float scale;
  const float inverse = inverse_scale(group.absmax(), 127.0f, &scale);
  __m256i q = _mm256_setzero_si256();
  if (inverse > 0) {
    const __m512 factor = _mm512_set1_ps(inverse);
    q = _mm256_set_m128i(_mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(group.high, factor))),
                         _mm512_cvtsepi32_epi8(_mm512_cvtps_epi32(_mm512_mul_ps(group.low, factor))));
  }
  __builtin_memcpy(words, &scale, 4);
  words[1] = static_cast<uint32_t>(sum_bytes(q));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + 2), q);
}

// Up to 32 values -> kInt16GroupWords words.
template <float kMost>
void quantize_group16(const float* x, int64_t count, uint32_t* words) {
  // Of low halves of 32 int32: (0, 2) (1, 3) (4, 6) (5, 7) ...
  alignas(64) static constexpr uint16_t kOrder[32] = {0,  4,  2,  6,  8,  12, 10, 14, 16, 20, 18, 22, 24, 28, 26, 30,
                                                      32, 36, 34, 38, 40, 44, 42, 46, 48, 52, 50, 54, 56, 60, 58, 62};
  const FloatGroup group(x, count);
  float scale;
  const float inverse = inverse_scale(group.absmax(), kMost, &scale);
  __m512i low = _mm512_setzero_si512(), high = low;
  if (inverse > 0) {
    const __m512 factor = _mm512_set1_ps(inverse);
    low = _mm512_cvtps_epi32(_mm512_mul_ps(group.low, factor));
    high = _mm512_cvtps_epi32(_mm512_mul_ps(group.high, factor));
  }
  const auto sum = static_cast<float>(_mm512_reduce_add_epi32(_mm512_add_epi32(low, high)));
  __builtin_memcpy(words, &scale, 4);
  __builtin_memcpy(words + 1, &sum, 4);
  _mm512_storeu_si512(words + 2, _mm512_permutex2var_epi16(low, _mm512_load_si512(kOrder), high));
}

template <float kMost>
void run_int16_groups(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*,
                      float) {
  constexpr int64_t kGroups = 8;
  uint32_t chunk[16 * kGroups * kInt16GroupWords];
  for (int64_t i = 0; i < k; i += kGroups * kActivationGroup) {
    const int64_t left = (k - i + kActivationGroup - 1) / kActivationGroup, groups = left < kGroups ? left : kGroups;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t group = 0; group < groups; ++group) {
        const int64_t column = i + group * kActivationGroup;
        quantize_group16<kMost>(x + row * ldx + column, k - column, chunk + (row * kGroups + group) * kInt16GroupWords);
      }
    interleave_rows(chunk, kGroups * kInt16GroupWords, rows, groups * kInt16GroupWords, tile_rows,
                    words + i / kActivationGroup * kInt16GroupWords * tile_rows);
  }
}

void run_int8_groups(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t, uint32_t* words, float*, float) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t begin = 0; begin < k; begin += kActivationGroup, words += kGroupWords)
      quantize_group(x + row * ldx + begin, k - begin, words);
}

// The nearest values of e4m3 (ties to even, at most 448), as f32; see f32_to_fp8_e4m3.
__m512 round_to_e4m3(__m512 value) {
  const __m512i magnitude = magnitude_bits(value);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(magnitude, 20), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(magnitude, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7ffff)));
  const __m512 normal = _mm512_castsi512_ps(_mm512_and_si512(up, _mm512_set1_epi32(-0x100000)));
  // Below 2^-6 steps of 2^-9: adding 2^14, whose ulp that is, rounds.
  const __m512 magic = _mm512_set1_ps(0x1p14f);
  const __m512 small = _mm512_sub_ps(_mm512_add_ps(_mm512_castsi512_ps(magnitude), magic), magic);
  const __mmask16 is_small = _mm512_cmp_ps_mask(_mm512_castsi512_ps(magnitude), _mm512_set1_ps(0x1p-6f), _CMP_LT_OQ);
  const __m512 rounded = _mm512_min_ps(_mm512_mask_mov_ps(normal, is_small, small), _mm512_set1_ps(448.0f));
  const __m512i sign = _mm512_andnot_si512(_mm512_set1_epi32(0x7fffffff), _mm512_castps_si512(value));
  return _mm512_castsi512_ps(_mm512_or_si512(sign, _mm512_castps_si512(rounded)));
}

// The scale that is given, else absmax / 448, 0 for tiny values; NaN where there is a NaN or infinity.
float fp8_scale(const float* x, int64_t count, float input_scale) {
  float absmax;
  row_absmax<1>(x, 0, count, &absmax);
  if (!(absmax <= FLT_MAX)) return __builtin_nanf("");
  return input_scale > 0 ? input_scale : absmax < kInt8TinyAbsmax ? 0.0f : absmax / 448.0f;
}

void round_row_fp8(const float* x, int64_t count, float scale, uint32_t* out) {
  const __m512 factor = _mm512_set1_ps(scale);
  const bool plain = scale > 0;
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = lanes(count - i);
    const __m512 value = _mm512_div_ps(_mm512_maskz_loadu_ps(mask, x + i), factor);
    const __m512 kept = plain ? _mm512_mul_ps(round_to_e4m3(value), factor) : factor;
    _mm512_mask_storeu_epi32(out + i, mask, _mm512_castps_si512(kept));
  }
}

template <int64_t kGroup>
void run_fp8(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*,
             float input_scale) {
  float scale[16];
  for (int64_t row = 0; row < rows && kGroup == 0; ++row) scale[row] = fp8_scale(x + row * ldx, k, input_scale);
  alignas(64) uint32_t chunk[16 * kChunk];
  for (int64_t i = 0; i < k; i += kChunk) {
    const int64_t count = k - i < kChunk ? k - i : kChunk;
    const int64_t group = kGroup == 0 ? count : kGroup;
    for (int64_t row = 0; row < rows; ++row)
      for (int64_t begin = 0; begin < count; begin += group) {
        const float* from = x + row * ldx + i + begin;
        const int64_t width = count - begin < group ? count - begin : group;
        round_row_fp8(from, width, kGroup == 0 ? scale[row] : fp8_scale(from, width, 0.0f),
                      (tile_rows == 1 ? words + i : chunk + row * kChunk) + begin);
      }
    if (tile_rows > 1) interleave_rows(chunk, kChunk, rows, count, tile_rows, words + i * tile_rows);
  }
}

}  // namespace

const ActivationStage stage_f32_avx512 = {words_of<1>, run_f32};
const ActivationStage stage_bf16_as_f32_avx512 = {words_of<1>, run_bf16_as_f32};
const ActivationStage stage_uint8_avx512 = {words_of<4>, run_uint8};
const ActivationStage stage_int8_groups_avx512 = {group_row_words, run_int8_groups};
const ActivationStage stage_int16_groups_avx512 = {int16_group_row_words, run_int16_groups<kInt16Most>};
const ActivationStage stage_int14_groups_avx512 = {int16_group_row_words, run_int16_groups<kInt14Most>};
const ActivationStage stage_fp8_avx512 = {words_of<1>, run_fp8<0>};
const ActivationStage stage_fp8_groups_avx512 = {words_of<1>, run_fp8<kFp8ActivationGroup>};

}  // namespace espalier
