// Weight format "bf16": [n/16][k/2][16][2] bfloat16, k padded to even. Activations are rounded to bf16 on every ISA.
// SPDX-License-Identifier: Apache-2.0
#include "core/dtype.h"
#include "quant/pack_panels.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

constexpr float kLargest = 0x1.fefffep+127f;  // the last f32 that rounds to a finite bfloat16

size_t packed_bytes(int64_t n, int64_t k) { return align64(panel_count(n) * panel_bytes_bf16(k)); }

Status pack(const float* w, int64_t n, int64_t k, void* packed, ThreadPool* pool) {
  if (n == 0 || k == 0) return Status::ok();
  ESP_RETURN_IF_ERROR(check_weight_values("bf16", w, n, k, kLargest, pool));
  const int64_t padded = round_up(k, 2);
  zero_padding(packed, panel_count(n) * panel_bytes_bf16(k), packed_bytes(n, k));
  for_each_panel(n, pool, [&](int64_t panel) {
    uint16_t* out = static_cast<uint16_t*>(packed) + panel * padded * kPanel;
    const int64_t rows = panel_rows(n, panel);
    const float* source = w + panel * kPanel * k;
    for (int64_t i = 0; i < padded; ++i)
      for (int64_t lane = 0; lane < kPanel; ++lane)
        out[i / 2 * 2 * kPanel + lane * 2 + i % 2] =
            lane < rows && i < k ? f32_to_bf16(source[lane * k + i]) : uint16_t{0};
  });
  return Status::ok();
}

void unpack_rows(const void* packed, int64_t, int64_t k, int64_t row_begin, int64_t count, float* out) {
  const int64_t padded = round_up(k, 2);
  for (int64_t row = row_begin; row < row_begin + count; ++row) {
    const uint16_t* source = static_cast<const uint16_t*>(packed) + row / kPanel * padded * kPanel + row % kPanel * 2;
    for (int64_t i = 0; i < k; ++i) *out++ = bf16_to_f32(source[i / 2 * 2 * kPanel + i % 2]);
  }
}

// vdpbf16ps does twice the work of an f32 multiply-add per cycle on Zen, half of it on Intel (Granite Rapids: 235
// against 474 GFLOP/s on two cores), where widening to f32 is faster for every m.
const LinearKernel* dot_kernel() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_is("amd")) return &matmul_bf16_bf16_avx512_bf16;
#endif
  return nullptr;
}

}  // namespace

extern const WeightFormat kWeightFormatBF16;
const WeightFormat kWeightFormatBF16 = {"bf16",
                                        "bf16",
                                        16,
                                        1,
                                        packed_bytes,
                                        pack,
                                        unpack_rows,
                                        nullptr,
                                        0,
                                        {&matmul_bf16_bf16_ref, ESP_X86_KERNEL(matmul_bf16_bf16_avx2),
                                         ESP_X86_KERNEL(matmul_bf16_bf16_avx512), dot_kernel()}};

}  // namespace espalier
