// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/activation_stage.h"

#include <cmath>
#include <cstring>
#include <limits>

#include "core/dtype.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

void run_bf16_as_f32(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*) {
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

void run_int8(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float* scale) {
  int8_t* bytes = reinterpret_cast<int8_t*>(words);
  std::memset(bytes, 0, round_up(k, 4) * tile_rows);
  for (int64_t row = 0; row < rows; ++row) {
    const float absmax = row_absmax(x + row * ldx, k);
    const bool finite = absmax <= std::numeric_limits<float>::max();
    scale[row] = !finite ? std::numeric_limits<float>::quiet_NaN() : absmax < kInt8TinyAbsmax ? 0.0f : absmax / 127.0f;
    if (!finite || absmax < kInt8TinyAbsmax) continue;
    const float inverse = 127.0f / absmax;
    for (int64_t i = 0; i < k; ++i)
      bytes[i / 4 * 4 * tile_rows + row * 4 + i % 4] = static_cast<int8_t>(std::nearbyint(x[row * ldx + i] * inverse));
  }
}

}  // namespace

const ActivationStage stage_bf16_as_f32_ref = {1, run_bf16_as_f32};
const ActivationStage stage_int8_ref = {4, run_int8};

}  // namespace espalier
