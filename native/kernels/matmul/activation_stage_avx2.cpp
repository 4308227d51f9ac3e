// Activation stages for AVX2.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/activation_stage.h"

#include <cfloat>

#include "kernels/matmul/interleave_avx2.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

constexpr int64_t kChunk = 256;  // words of each row converted at a time before they are interleaved

// Nearest even on the upper 16 bits; NaN is quieted. Gives f32 bit patterns.
__m256i round_to_bf16(__m256 value) {
  const __m256i bits = _mm256_castps_si256(value);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
  const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(value, value, _CMP_UNORD_Q));
  return _mm256_and_si256(_mm256_blendv_epi8(rounded, quiet, nan), _mm256_set1_epi32(static_cast<int>(0xffff0000u)));
}

void run_f32(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*, float) {
  interleave_rows(reinterpret_cast<const uint32_t*>(x), ldx, rows, k, tile_rows, words);
}

void round_row(const float* x, int64_t count, uint32_t* out) {
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i), round_to_bf16(_mm256_loadu_ps(x + i)));
  if (i == count) return;
  const __m256i mask = lanes(count - i);
  _mm256_maskstore_epi32(reinterpret_cast<int*>(out + i), mask, round_to_bf16(_mm256_maskload_ps(x + i, mask)));
}

void run_bf16_as_f32(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*,
                     float) {
  if (tile_rows == 1) return round_row(x, k, words);
  alignas(32) uint32_t chunk[8 * kChunk];
  for (int64_t i = 0; i < k; i += kChunk) {
    const int64_t count = k - i < kChunk ? k - i : kChunk;
    for (int64_t row = 0; row < rows; ++row) round_row(x + row * ldx + i, count, chunk + row * kChunk);
    interleave_rows(chunk, kChunk, rows, count, tile_rows, words + i * tile_rows);
  }
}

float row_absmax(const float* x, int64_t k) {
  const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
  __m256i largest = _mm256_setzero_si256();
  for (int64_t i = 0; i < k; i += 8) {
    const __m256 value = k - i >= 8 ? _mm256_loadu_ps(x + i) : _mm256_maskload_ps(x + i, lanes(k - i));
    largest = _mm256_max_epu32(largest, _mm256_and_si256(_mm256_castps_si256(value), magnitude));
  }
  __m128i four = _mm_max_epu32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0x4e));
  four = _mm_max_epu32(four, _mm_shuffle_epi32(four, 0xb1));
  return _mm_cvtss_f32(_mm_castsi128_ps(four));
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

// 8 values of x (those in mask) times the factor, or (kGiven) over it and within int8's range -> 8 int16.
template <bool kGiven>
__m128i quantize8(const float* x, int64_t count, __m256 factor) {
  const __m256 value = count >= 8 ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, lanes(count));
  __m256 steps = kGiven ? _mm256_div_ps(value, factor) : _mm256_mul_ps(value, factor);
  if (kGiven) steps = _mm256_min_ps(_mm256_max_ps(steps, _mm256_set1_ps(-128.0f)), _mm256_set1_ps(127.0f));
  const __m256i q = _mm256_cvtps_epi32(steps);
  return _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
}

// The first `bytes` bytes of `value`.
void store_bytes(__m128i value, int64_t bytes, void* out) {
  alignas(16) char all[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(all), value);
  __builtin_memcpy(out, all, static_cast<size_t>(bytes));
}

// x [count] -> int8, padded with zeros to whole words.
template <bool kGiven>
void quantize_row_int8(const float* x, int64_t count, float inverse, uint32_t* words) {
  int8_t* out = reinterpret_cast<int8_t*>(words);
  const __m256 factor = _mm256_set1_ps(inverse);
  int64_t i = 0;
  for (; i + 8 <= count; i += 8) {
    const __m128i q = quantize8<kGiven>(x + i, 8, factor);
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out + i), _mm_packs_epi16(q, q));
  }
  if (i == count) return;
  const __m128i q = quantize8<kGiven>(x + i, count - i, factor);
  store_bytes(_mm_packs_epi16(q, q), (count - i + 3) / 4 * 4, out + i);
}

// x [count] -> int16, padded with zeros to whole words.
template <bool kGiven>
void quantize_row_int16(const float* x, int64_t count, float inverse, uint32_t* words) {
  int16_t* out = reinterpret_cast<int16_t*>(words);
  const __m256 factor = _mm256_set1_ps(inverse);
  int64_t i = 0;
  for (; i + 8 <= count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i), quantize8<kGiven>(x + i, 8, factor));
  if (i < count) store_bytes(quantize8<kGiven>(x + i, count - i, factor), (count - i + 1) / 2 * 4, out + i);
}

using QuantizeRow = void (*)(const float*, int64_t, float, uint32_t*);

template <QuantizeRow kFound, QuantizeRow kGiven, int64_t kPerWord>
void run_int(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float* scale,
             float input_scale) {
  const QuantizeRow quantize_row = input_scale > 0 ? kGiven : kFound;
  float inverse[8];
  for (int64_t row = 0; row < rows; ++row)
    inverse[row] = row_factor(row_absmax(x + row * ldx, k), input_scale, scale + row);
  if (tile_rows == 1) return quantize_row(x, k, inverse[0], words);
  alignas(32) uint32_t chunk[8 * kChunk];
  for (int64_t i = 0; i < k; i += kPerWord * kChunk) {
    const int64_t count = k - i < kPerWord * kChunk ? k - i : kPerWord * kChunk;
    for (int64_t row = 0; row < rows; ++row) quantize_row(x + row * ldx + i, count, inverse[row], chunk + row * kChunk);
    interleave_rows(chunk, kChunk, rows, (count + kPerWord - 1) / kPerWord, tile_rows,
                    words + i / kPerWord * tile_rows);
  }
}

// 32 values under one scale -> scale, sum, 32 q; see stage_int8_groups_ref.
void quantize_group(const float* x, uint32_t* words) {
  float scale;
  const float inverse = inverse_scale(row_absmax(x, kActivationGroup), 127.0f, &scale);
  __m256i q = _mm256_setzero_si256();
  if (inverse > 0) {
    const __m256 factor = _mm256_set1_ps(inverse);
    __m256i part[4];
    for (int i = 0; i < 4; ++i) part[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8 * i), factor));
    q = _mm256_packs_epi16(_mm256_packs_epi32(part[0], part[1]), _mm256_packs_epi32(part[2], part[3]));
    q = _mm256_permutevar8x32_epi32(q, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
  }
  __builtin_memcpy(words, &scale, 4);
  words[1] = static_cast<uint32_t>(sum_bytes(q));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + 2), q);
}

void run_int8_groups(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t, uint32_t* words, float*, float) {
  for (int64_t row = 0; row < rows; ++row) {
    const float* from = x + row * ldx;
    int64_t begin = 0;
    for (; begin + kActivationGroup <= k; begin += kActivationGroup, words += kGroupWords)
      quantize_group(from + begin, words);
    if (begin == k) continue;
    float last[kActivationGroup] = {};
    __builtin_memcpy(last, from + begin, static_cast<size_t>(k - begin) * sizeof(float));
    quantize_group(last, words);
    words += kGroupWords;
  }
}

// Up to 32 values -> kInt16GroupWords words.
template <float kMost>
void quantize_group16(const float* x, int64_t count, uint32_t* words) {
  alignas(32) float values[kActivationGroup] = {};
  __builtin_memcpy(values, x, static_cast<size_t>(count < kActivationGroup ? count : kActivationGroup) * sizeof(float));
  float scale;
  const float inverse = inverse_scale(row_absmax(values, kActivationGroup), kMost, &scale);
  __m256i q[4] = {}, total = _mm256_setzero_si256();
  for (int i = 0; i < 4 && inverse > 0; ++i) {
    q[i] = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_load_ps(values + 8 * i), _mm256_set1_ps(inverse)));
    total = _mm256_add_epi32(total, q[i]);
    q[i] = _mm256_shuffle_epi32(q[i], _MM_SHUFFLE(3, 1, 2, 0));
  }
  alignas(32) int32_t parts[8];
  _mm256_store_si256(reinterpret_cast<__m256i*>(parts), total);
  int32_t whole = 0;
  for (const int32_t part : parts) whole += part;
  const auto sum = static_cast<float>(whole);
  __builtin_memcpy(words, &scale, 4);
  __builtin_memcpy(words + 1, &sum, 4);
  for (int i = 0; i < 2; ++i) {
    const __m256i pairs = _mm256_permute4x64_epi64(_mm256_packs_epi32(q[2 * i], q[2 * i + 1]), 0xd8);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(words + 2 + 8 * i), pairs);
  }
}

template <float kMost>
void run_int16_groups(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*,
                      float) {
  constexpr int64_t kGroups = 8;
  uint32_t chunk[8 * kGroups * kInt16GroupWords];
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

// The nearest values of e4m3 (ties to even, at most 448), as f32; see f32_to_fp8_e4m3.
__m256 round_to_e4m3(__m256 value) {
  const __m256i sign_bit = _mm256_set1_epi32(INT32_MIN);
  const __m256i magnitude = _mm256_andnot_si256(sign_bit, _mm256_castps_si256(value));
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(magnitude, 20), _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(magnitude, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7ffff)));
  const __m256 normal = _mm256_castsi256_ps(_mm256_and_si256(up, _mm256_set1_epi32(-0x100000)));
  // Below 2^-6 steps of 2^-9: adding 2^14, whose ulp that is, rounds.
  const __m256 magic = _mm256_set1_ps(0x1p14f);
  const __m256 small = _mm256_sub_ps(_mm256_add_ps(_mm256_castsi256_ps(magnitude), magic), magic);
  const __m256 is_small = _mm256_cmp_ps(_mm256_castsi256_ps(magnitude), _mm256_set1_ps(0x1p-6f), _CMP_LT_OQ);
  const __m256 rounded = _mm256_min_ps(_mm256_blendv_ps(normal, small, is_small), _mm256_set1_ps(448.0f));
  return _mm256_or_ps(_mm256_and_ps(value, _mm256_castsi256_ps(sign_bit)), rounded);
}

// The scale that is given, else absmax / 448, 0 for tiny values; NaN where there is a NaN or infinity.
float fp8_scale(const float* x, int64_t count, float input_scale) {
  const float absmax = row_absmax(x, count);
  if (!(absmax <= FLT_MAX)) return __builtin_nanf("");
  return input_scale > 0 ? input_scale : absmax < kInt8TinyAbsmax ? 0.0f : absmax / 448.0f;
}

void round_row_fp8(const float* x, int64_t count, float scale, uint32_t* out) {
  const __m256 factor = _mm256_set1_ps(scale);
  const bool plain = scale > 0;
  for (int64_t i = 0; i < count; i += 8) {
    const __m256i mask = lanes(count - i);
    const __m256 value = _mm256_div_ps(_mm256_maskload_ps(x + i, mask), factor);
    const __m256 kept = plain ? _mm256_mul_ps(round_to_e4m3(value), factor) : factor;
    _mm256_maskstore_ps(reinterpret_cast<float*>(out) + i, mask, kept);
  }
}

template <int64_t kGroup>
void run_fp8(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*,
             float input_scale) {
  float scale[8];
  for (int64_t row = 0; row < rows && kGroup == 0; ++row) scale[row] = fp8_scale(x + row * ldx, k, input_scale);
  alignas(32) uint32_t chunk[8 * kChunk];
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

const ActivationStage stage_f32_avx2 = {words_of<1>, run_f32};
const ActivationStage stage_bf16_as_f32_avx2 = {words_of<1>, run_bf16_as_f32};
const ActivationStage stage_int8_avx2 = {words_of<4>, run_int<quantize_row_int8<false>, quantize_row_int8<true>, 4>};
const ActivationStage stage_int16_avx2 = {words_of<2>, run_int<quantize_row_int16<false>, quantize_row_int16<true>, 2>};
const ActivationStage stage_int8_groups_avx2 = {group_row_words, run_int8_groups};
const ActivationStage stage_int16_groups_avx2 = {int16_group_row_words, run_int16_groups<kInt16Most>};
const ActivationStage stage_int14_groups_avx2 = {int16_group_row_words, run_int16_groups<kInt14Most>};
const ActivationStage stage_fp8_avx2 = {words_of<1>, run_fp8<0>};
const ActivationStage stage_fp8_groups_avx2 = {words_of<1>, run_fp8<kFp8ActivationGroup>};

}  // namespace espalier
