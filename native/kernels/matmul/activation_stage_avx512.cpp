// Activation stages for AVX-512.
// SPDX-License-Identifier: Apache-2.0
#include <cfloat>

#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/interleave_avx512.h"

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

void run_f32(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*) {
  interleave_rows(reinterpret_cast<const uint32_t*>(x), ldx, rows, k, tile_rows, words);
}

void round_row(const float* x, int64_t count, uint32_t* out) {
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 mask = lanes(count - i);
    _mm512_mask_storeu_epi32(out + i, mask, round_to_bf16(_mm512_maskz_loadu_ps(mask, x + i)));
  }
}

void run_bf16_as_f32(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*) {
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

// x [count] -> bytes round(x * inverse) + 128, padded with 128 to whole words.
void quantize_row(const float* x, int64_t count, float inverse, uint8_t* out) {
  const __m512 factor = _mm512_set1_ps(inverse);
  for (int64_t i = 0; i < count; i += 16) {
    const __m512 value = _mm512_maskz_loadu_ps(lanes(count - i), x + i);
    const __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(value, factor));
    const __m128i bytes = _mm_xor_si128(_mm512_cvtsepi32_epi8(q), _mm_set1_epi8(static_cast<char>(0x80)));
    _mm_mask_storeu_epi8(out + i, lanes((count - i + 3) / 4 * 4), bytes);
  }
}

// Scale of a row and what to multiply it with; see stage_int8_ref.
float inverse_scale(float absmax, float* scale) {
  const bool finite = absmax <= FLT_MAX;
  const bool tiny = absmax < kInt8TinyAbsmax;
  *scale = !finite ? __builtin_nanf("") : tiny ? 0.0f : absmax / 127.0f;
  return !finite || tiny ? 0.0f : 127.0f / absmax;
}

void run_uint8(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float* scale) {
  float inverse[16];
  int64_t done = 0;
  for (; done + 4 <= rows; done += 4) row_absmax<4>(x + done * ldx, ldx, k, inverse + done);
  for (; done < rows; ++done) row_absmax<1>(x + done * ldx, ldx, k, inverse + done);
  for (int64_t row = 0; row < rows; ++row) inverse[row] = inverse_scale(inverse[row], scale + row);
  if (tile_rows == 1) return quantize_row(x, k, inverse[0], reinterpret_cast<uint8_t*>(words));
  alignas(64) uint32_t chunk[16 * kChunk];
  for (int64_t i = 0; i < k; i += 4 * kChunk) {
    const int64_t count = k - i < 4 * kChunk ? k - i : 4 * kChunk;
    for (int64_t row = 0; row < rows; ++row)
      quantize_row(x + row * ldx + i, count, inverse[row], reinterpret_cast<uint8_t*>(chunk + row * kChunk));
    interleave_rows(chunk, kChunk, rows, (count + 3) / 4, tile_rows, words + i / 4 * tile_rows);
  }
}

}  // namespace

const ActivationStage stage_f32_avx512 = {words_of<1>, run_f32};
const ActivationStage stage_bf16_as_f32_avx512 = {words_of<1>, run_bf16_as_f32};
const ActivationStage stage_uint8_avx512 = {words_of<4>, run_uint8};

}  // namespace espalier
