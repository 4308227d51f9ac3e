// Weight format "f32": [n/16][k][16] f32.
// SPDX-License-Identifier: Apache-2.0
#include <cfloat>

#include "quant/pack_panels.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

size_t packed_bytes(int64_t n, int64_t k) { return panel_count(n) * panel_bytes_f32(k); }

Status pack(const float* w, int64_t n, int64_t k, void* packed, ThreadPool* pool) {
  if (n == 0 || k == 0) return Status::ok();
  ESP_RETURN_IF_ERROR(check_weight_values("f32", w, n, k, FLT_MAX, pool));
  for_each_panel(n, pool, [&](int64_t panel) {
    float* out = static_cast<float*>(packed) + panel * k * kPanel;
    const int64_t rows = panel_rows(n, panel);
    const float* source = w + panel * kPanel * k;
    for (int64_t i = 0; i < k; ++i)
      for (int64_t lane = 0; lane < kPanel; ++lane) out[i * kPanel + lane] = lane < rows ? source[lane * k + i] : 0.0f;
  });
  return Status::ok();
}

void unpack_rows(const void* packed, int64_t, int64_t k, int64_t row_begin, int64_t count, float* out) {
  for (int64_t row = row_begin; row < row_begin + count; ++row) {
    const float* source = static_cast<const float*>(packed) + row / kPanel * k * kPanel + row % kPanel;
    for (int64_t i = 0; i < k; ++i) *out++ = source[i * kPanel];
  }
}

}  // namespace

extern const WeightFormat kWeightFormatF32;
const WeightFormat kWeightFormatF32 = {
    "f32",
    "f32",
    32,
    1,
    packed_bytes,
    pack,
    unpack_rows,
    nullptr,
    0,
    {&matmul_f32_f32_ref, ESP_X86_KERNEL(matmul_f32_f32_avx2), ESP_X86_KERNEL(matmul_f32_f32_avx512), nullptr}};

}  // namespace espalier
