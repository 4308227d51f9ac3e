// Weight format "int8" (weight-only): symmetric, one scale = absmax / 127 per output row. [n/16][k][16] int8, scales
// after. Activations stay f32.
// SPDX-License-Identifier: Apache-2.0
#include <cfloat>

#include "quant/pack_panels.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

size_t packed_bytes(int64_t n, int64_t k) {
  return n == 0 || k == 0 ? 0 : scale_offset_int8(n, k) + panel_count(n) * kPanel * sizeof(float);
}

Status pack(const float* w, int64_t n, int64_t k, void* packed, ThreadPool* pool) {
  if (n == 0 || k == 0) return Status::ok();
  ESP_RETURN_IF_ERROR(check_weight_values("int8", w, n, k, FLT_MAX, pool));
  float* scales = reinterpret_cast<float*>(static_cast<char*>(packed) + scale_offset_int8(n, k));
  zero_padding(packed, panel_count(n) * panel_bytes_int8(k), scale_offset_int8(n, k));
  for_each_panel(n, pool, [&](int64_t panel) {
    int8_t* out = static_cast<int8_t*>(packed) + panel * k * kPanel;
    const int64_t rows = panel_rows(n, panel);
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      const float* source = w + (panel * kPanel + lane) * k;
      const float scale = lane < rows ? int8_row_scale(source, k) : 0.0f;
      scales[panel * kPanel + lane] = scale;
      for (int64_t i = 0; i < k; ++i)
        out[i * kPanel + lane] = lane < rows ? int8_quantize(source[i], scale) : int8_t{0};
    }
  });
  return Status::ok();
}

Status pack_quantized(const QuantizedMatrix& matrix, void* packed, ThreadPool* pool) {
  const int64_t n = matrix.rows, k = matrix.cols;
  ESP_RETURN_IF_ERROR(check_fits("int8", matrix, CodeType::kInt8, 0, false));
  if (n == 0 || k == 0) return Status::ok();
  float* scales = reinterpret_cast<float*>(static_cast<char*>(packed) + scale_offset_int8(n, k));
  zero_padding(packed, panel_count(n) * panel_bytes_int8(k), scale_offset_int8(n, k));
  for_each_panel(n, pool, [&](int64_t panel) {
    uint8_t* out = static_cast<uint8_t*>(packed) + panel * k * kPanel;
    const int64_t rows = panel_rows(n, panel);
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      const int64_t row = panel * kPanel + lane;
      scales[row] = lane < rows ? matrix.scales[matrix.scale_index(row, 0)] : 0.0f;
      for (int64_t i = 0; i < k; ++i) out[i * kPanel + lane] = lane < rows ? matrix.codes[row * k + i] : uint8_t{0};
    }
  });
  return Status::ok();
}

void unpack_rows(const void* packed, int64_t n, int64_t k, int64_t row_begin, int64_t count, float* out) {
  const float* scales = reinterpret_cast<const float*>(static_cast<const char*>(packed) + scale_offset_int8(n, k));
  for (int64_t row = row_begin; row < row_begin + count; ++row) {
    const int8_t* source = static_cast<const int8_t*>(packed) + row / kPanel * k * kPanel + row % kPanel;
    for (int64_t i = 0; i < k; ++i) *out++ = static_cast<float>(source[i * kPanel]) * scales[row];
  }
}

}  // namespace

extern const WeightFormat kWeightFormatInt8;
const WeightFormat kWeightFormatInt8 = {
    "int8",
    "f32",
    8,
    1,
    packed_bytes,
    pack,
    unpack_rows,
    pack_quantized,
    0,
    {&matmul_f32_int8_ref, ESP_X86_KERNEL(matmul_f32_int8_avx2), ESP_X86_KERNEL(matmul_f32_int8_avx512), nullptr}};

}  // namespace espalier
