// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/activation_stage.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "core/dtype.h"
#include "quant/fp8.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

void run_bf16_as_f32(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*,
                     float) {
  for (int64_t i = 0; i < k; ++i)
    for (int64_t row = 0; row < tile_rows; ++row)
      words[i * tile_rows + row] =
          row < rows ? static_cast<uint32_t>(f32_to_bf16(x[row * ldx + i])) << 16 : uint32_t{0};
}

// Largest magnitude of a row, NaN and Inf winning (their bit patterns are the largest).
float row_absmax(const float* x, int64_t k) {
  uint32_t largest = 0;
  for (int64_t i = 0; i < k; ++i) {
    uint32_t bits;
    std::memcpy(&bits, &x[i], 4);
    bits &= 0x7fffffffu;
    largest = bits > largest ? bits : largest;
  }
  float absmax;
  std::memcpy(&absmax, &largest, 4);
  return absmax;
}

// x [count] under one scale -> q [count]; returns the scale. See stage_int8_ref.
float quantize_int8(const float* x, int64_t count, int8_t* q, float input_scale = 0.0f) {
  const float absmax = row_absmax(x, count);
  const bool finite = absmax <= std::numeric_limits<float>::max();
  if (!finite) return std::numeric_limits<float>::quiet_NaN();
  if (input_scale > 0) {
    for (int64_t i = 0; i < count; ++i)
      q[i] = static_cast<int8_t>(std::nearbyint(std::fmin(std::fmax(x[i] / input_scale, -128.0f), 127.0f)));
    return input_scale;
  }
  if (absmax < kInt8TinyAbsmax) return 0.0f;
  const float inverse = 127.0f / absmax;
  for (int64_t i = 0; i < count; ++i) q[i] = static_cast<int8_t>(std::nearbyint(x[i] * inverse));
  return absmax / 127.0f;
}

void run_int8(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float* scale,
              float input_scale) {
  int8_t* bytes = reinterpret_cast<int8_t*>(words);
  std::memset(bytes, 0, round_up(k, 4) * tile_rows);
  std::vector<int8_t> q;
  for (int64_t row = 0; row < rows; ++row) {
    q.assign(static_cast<size_t>(k), 0);
    scale[row] = quantize_int8(x + row * ldx, k, q.data(), input_scale);
    for (int64_t i = 0; i < k; ++i) bytes[i / 4 * 4 * tile_rows + row * 4 + i % 4] = q[static_cast<size_t>(i)];
  }
}

void run_int8_groups(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t, uint32_t* words, float*, float) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t begin = 0; begin < k; begin += kActivationGroup, words += kGroupWords) {
      int8_t q[kActivationGroup] = {};
      const int64_t left = k - begin;
      const float scale = quantize_int8(x + row * ldx + begin, left < kActivationGroup ? left : kActivationGroup, q);
      int32_t sum = 0;
      for (const int8_t value : q) sum += value;
      std::memcpy(words, &scale, 4);
      std::memcpy(words + 1, &sum, 4);
      std::memcpy(words + 2, q, kActivationGroup);
    }
}

// Integers up to kMost in groups, as f32.
template <float kMost>
void run_int_groups_as_f32(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words,
                           float*, float) {
  std::memset(words, 0, static_cast<size_t>(k * tile_rows) * 4);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t begin = 0; begin < k; begin += kActivationGroup) {
      const float* group = x + row * ldx + begin;
      const int64_t count = k - begin < kActivationGroup ? k - begin : kActivationGroup;
      const float absmax = row_absmax(group, count);
      const bool finite = absmax <= std::numeric_limits<float>::max(), tiny = absmax < kInt8TinyAbsmax;
      for (int64_t i = 0; i < count; ++i) {
        float value = tiny ? 0.0f : std::nearbyint(group[i] * (kMost / absmax)) * (absmax / kMost);
        if (!finite) value = std::numeric_limits<float>::quiet_NaN();
        std::memcpy(words + (begin + i) * tile_rows + row, &value, 4);
      }
    }
}

// e4m3's grid under one scale for x [count].
void round_fp8(const float* x, int64_t count, int64_t stride, uint32_t* out, float input_scale) {
  const float absmax = row_absmax(x, count);
  const bool finite = absmax <= std::numeric_limits<float>::max();
  const float scale = input_scale > 0 ? input_scale : absmax < kInt8TinyAbsmax ? 0.0f : absmax / 448.0f;
  for (int64_t i = 0; i < count; ++i) {
    float value = scale == 0 ? 0.0f : fp8_e4m3_to_f32(f32_to_fp8_e4m3(x[i] / scale)) * scale;
    if (!finite) value = std::numeric_limits<float>::quiet_NaN();
    std::memcpy(out + i * stride, &value, 4);
  }
}

template <int64_t kGroup>
void run_fp8(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*,
             float input_scale) {
  const int64_t group = kGroup == 0 ? k : kGroup;
  std::memset(words, 0, static_cast<size_t>(k * tile_rows) * 4);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t begin = 0; begin < k; begin += group)
      round_fp8(x + row * ldx + begin, k - begin < group ? k - begin : group, tile_rows,
                words + begin * tile_rows + row, input_scale);
}

}  // namespace

const ActivationStage stage_bf16_as_f32_ref = {words_of<1>, run_bf16_as_f32};
const ActivationStage stage_int8_ref = {words_of<4>, run_int8};

const ActivationStage stage_int8_groups_ref = {group_row_words, run_int8_groups};
const ActivationStage stage_int16_groups_as_f32_ref = {words_of<1>, run_int_groups_as_f32<kInt16Most>};
const ActivationStage stage_int14_groups_as_f32_ref = {words_of<1>, run_int_groups_as_f32<kInt14Most>};
const ActivationStage stage_fp8_ref = {words_of<1>, run_fp8<0>};
const ActivationStage stage_fp8_groups_ref = {words_of<1>, run_fp8<kFp8ActivationGroup>};

}  // namespace espalier
