// Weight formats whose 4-bit codes are places in a table: "nf4" and "fp4" (blocks of 64; "-g32" for blocks of 32),
// "mxfp4". SPDX-License-Identifier: Apache-2.0
#include "quant/grouped_format.h"

namespace espalier {
namespace {

template <FormatName kName, FormatName kNumbers, CodeType kType, int64_t kGroup>
WeightFormat row(const LinearKernel* ref, const LinearKernel* avx2, const LinearKernel* avx512) {
  const char* activation = kType == CodeType::kNf4 ? kGroupedNf4Activation : kGroupedActivation;
  return GroupedFormat<GroupedTraits<kName, kNumbers, kType, kGroup>>::row(activation, ref, avx2, avx512);
}

}  // namespace

extern const WeightFormat kWeightFormatsTable4[5];
const WeightFormat kWeightFormatsTable4[5] = {
    row<"nf4", "nf4", CodeType::kNf4, 64>(&matmul_int8g_nf4_ref, ESP_X86_KERNEL(matmul_int8g_nf4_avx2),
                                          ESP_X86_KERNEL(matmul_int8g_nf4_avx512)),
    row<"nf4-g32", "nf4", CodeType::kNf4, 32>(&matmul_int8g_nf4_ref, ESP_X86_KERNEL(matmul_int8g_nf4_avx2),
                                              ESP_X86_KERNEL(matmul_int8g_nf4_avx512)),
    row<"fp4", "fp4", CodeType::kFp4, 64>(&matmul_int8g_fp4_ref, ESP_X86_KERNEL(matmul_int8g_fp4_avx2),
                                          ESP_X86_KERNEL(matmul_int8g_fp4_avx512)),
    row<"fp4-g32", "fp4", CodeType::kFp4, 32>(&matmul_int8g_fp4_ref, ESP_X86_KERNEL(matmul_int8g_fp4_avx2),
                                              ESP_X86_KERNEL(matmul_int8g_fp4_avx512)),
    row<"mxfp4", "mxfp4", CodeType::kE2M1, 32>(&matmul_int8g_e2m1_ref, ESP_X86_KERNEL(matmul_int8g_e2m1_avx2),
                                               ESP_X86_KERNEL(matmul_int8g_e2m1_avx512)),
};

}  // namespace espalier
