// Weight format "f16": [n/16][k][16] IEEE half, rounded to nearest even. Activations stay f32.
// SPDX-License-Identifier: Apache-2.0
#include "core/dtype.h"
#include "quant/pack_panels.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

constexpr float kLargest = 65519.996f;  // the last f32 that rounds to a finite half

size_t packed_bytes(int64_t n, int64_t k) { return align64(panel_count(n) * panel_bytes_f16(k)); }

Status pack(const float* w, int64_t n, int64_t k, void* packed, ThreadPool* pool) {
  if (n == 0 || k == 0) return Status::ok();
  ESP_RETURN_IF_ERROR(check_weight_values("f16", w, n, k, kLargest, pool));
  zero_padding(packed, panel_count(n) * panel_bytes_f16(k), packed_bytes(n, k));
  for_each_panel(n, pool, [&](int64_t panel) {
    uint16_t* out = static_cast<uint16_t*>(packed) + panel * k * kPanel;
    const int64_t rows = panel_rows(n, panel);
    const float* source = w + panel * kPanel * k;
    for (int64_t i = 0; i < k; ++i)
      for (int64_t lane = 0; lane < kPanel; ++lane)
        out[i * kPanel + lane] = lane < rows ? f32_to_f16(source[lane * k + i]) : uint16_t{0};
  });
  return Status::ok();
}

void unpack_rows(const void* packed, int64_t, int64_t k, int64_t row_begin, int64_t count, float* out) {
  for (int64_t row = row_begin; row < row_begin + count; ++row) {
    const uint16_t* source = static_cast<const uint16_t*>(packed) + row / kPanel * k * kPanel + row % kPanel;
    for (int64_t i = 0; i < k; ++i) *out++ = f16_to_f32(source[i * kPanel]);
  }
}

}  // namespace

extern const WeightFormat kWeightFormatF16;
const WeightFormat kWeightFormatF16 = {
    "f16",
    "f32",
    16,
    1,
    packed_bytes,
    pack,
    unpack_rows,
    nullptr,
    0,
    {&matmul_f32_f16_ref, ESP_X86_KERNEL(matmul_f32_f16_avx2), ESP_X86_KERNEL(matmul_f32_f16_avx512), nullptr}};

}  // namespace espalier
