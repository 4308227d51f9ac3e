// How activations are converted. Stages of one kind give the same values on every ISA, bit for bit.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/linear_kernel.h"

namespace espalier {

// row_words of stages that keep `kValues` values in a word.
template <int kValues>
static int64_t words_of(int64_t k) {
  return (k + kValues - 1) / kValues;
}

// f32, only interleaved.
extern const ActivationStage stage_f32_avx2;
extern const ActivationStage stage_f32_avx512;

// bf16 formats: x rounded to bf16 (nearest even) and kept as f32; or kept as pairs of bf16.
extern const ActivationStage stage_bf16_as_f32_ref;
extern const ActivationStage stage_bf16_as_f32_avx2;
extern const ActivationStage stage_bf16_as_f32_avx512;
extern const ActivationStage stage_bf16_avx512_bf16;

// int8 formats, per token: scale = absmax / 127, q = round-half-even(x * (127 / absmax)). A row of zeros (or below
// kInt8TinyAbsmax, where the reciprocal overflows) has scale 0; a row with NaN or Inf has scale NaN and q 0, so that
// the damage shows in the result. With a scale that is given: q = round-half-even(x / scale) within -128 and 127, as
// compressed-tensors divides; a row with NaN or Inf as above.
constexpr float kInt8TinyAbsmax = 1e-35f;
extern const ActivationStage stage_int8_ref;
extern const ActivationStage stage_int8_avx2;
extern const ActivationStage stage_int16_avx2;    // the same q widened to int16 pairs
extern const ActivationStage stage_uint8_avx512;  // the same q + 128

// int8 in groups of 32 values (quant/grouped_layout.h), plain rows only: a row is [ceil(k / 32)][10] words: the scale
// (f32, as above but of the group), the sum of the group's q (int32), and 32 q, padded with zeros.
constexpr int64_t kGroupWords = 10;
static inline int64_t group_row_words(int64_t k) { return (k + 31) / 32 * kGroupWords; }
extern const ActivationStage stage_int8_groups_ref;
extern const ActivationStage stage_int8_groups_avx2;
extern const ActivationStage stage_int8_groups_avx512;

// The same groups as 16-bit integers, or 14 bits for nf4, whose sums of 32 products would not fit int32; tiles only:
// the scale, the sum of the group's q as f32, then pairs of int16 in the order (k, k + 2) (k + 1, k + 3), every four k.
// The reference keeps q * scale as f32.
constexpr float kInt16Most = 32767.0f, kInt14Most = 8191.0f;
constexpr int64_t kInt16GroupWords = 18;
static inline int64_t int16_group_row_words(int64_t k) { return (k + 31) / 32 * kInt16GroupWords; }
extern const ActivationStage stage_int16_groups_as_f32_ref, stage_int14_groups_as_f32_ref;
extern const ActivationStage stage_int16_groups_avx2, stage_int14_groups_avx2;
extern const ActivationStage stage_int16_groups_avx512, stage_int14_groups_avx512;

// fp8 formats: what e4m3 under absmax / 448, or under the scale that is given, keeps of x, per token or per 128 values
// of a token, as f32. A token (or group) with NaN or Inf becomes NaN.
extern const ActivationStage stage_fp8_ref, stage_fp8_avx2, stage_fp8_avx512;
extern const ActivationStage stage_fp8_groups_ref, stage_fp8_groups_avx2, stage_fp8_groups_avx512;
constexpr int64_t kFp8ActivationGroup = 128;

}  // namespace espalier
