// Weight formats of 8-bit floats. Activations stay f32, or ("-w8a8") are rounded to e4m3 as well: per token, and per
// 128 values of a token where the weights have blocks of 128. SPDX-License-Identifier: Apache-2.0
#include "quant/grouped_format.h"

namespace espalier {
namespace {

template <FormatName kName, FormatName kNumbers, CodeType kType, int64_t kGroup>
WeightFormat row(const char* activation, const LinearKernel* ref, const LinearKernel* avx2,
                 const LinearKernel* avx512) {
  return GroupedFormat<GroupedTraits<kName, kNumbers, kType, kGroup>>::row(activation, ref, avx2, avx512);
}

}  // namespace

extern const WeightFormat kWeightFormatsFp8[6];
const WeightFormat kWeightFormatsFp8[6] = {
    row<"fp8_e4m3", "fp8_e4m3", CodeType::kFp8E4M3, 0>(
        "f32", &matmul_f32_e4m3_ref, ESP_X86_KERNEL(matmul_f32_e4m3_avx2), ESP_X86_KERNEL(matmul_f32_e4m3_avx512)),
    row<"fp8_e4m3-w8a8", "fp8_e4m3", CodeType::kFp8E4M3, 0>("fp8 per token", &matmul_fp8_e4m3_ref,
                                                            ESP_X86_KERNEL(matmul_fp8_e4m3_avx2),
                                                            ESP_X86_KERNEL(matmul_fp8_e4m3_avx512)),
    row<"fp8_e4m3-g128", "fp8_e4m3", CodeType::kFp8E4M3, 128>(
        "f32", &matmul_f32_e4m3_ref, ESP_X86_KERNEL(matmul_f32_e4m3_avx2), ESP_X86_KERNEL(matmul_f32_e4m3_avx512)),
    row<"fp8_e4m3-g128-w8a8", "fp8_e4m3", CodeType::kFp8E4M3, 128>("fp8 per 128 values", &matmul_fp8g_e4m3_ref,
                                                                   ESP_X86_KERNEL(matmul_fp8g_e4m3_avx2),
                                                                   ESP_X86_KERNEL(matmul_fp8g_e4m3_avx512)),
    row<"fp8_e5m2", "fp8_e5m2", CodeType::kFp8E5M2, 0>(
        "f32", &matmul_f32_e5m2_ref, ESP_X86_KERNEL(matmul_f32_e5m2_avx2), ESP_X86_KERNEL(matmul_f32_e5m2_avx512)),
    row<"mxfp8", "mxfp8", CodeType::kFp8E4M3, 32>("f32", &matmul_f32_e4m3_ref, ESP_X86_KERNEL(matmul_f32_e4m3_avx2),
                                                  ESP_X86_KERNEL(matmul_f32_e4m3_avx512)),
};

}  // namespace espalier
