// Weight formats of int8 in groups, "int8-g32" to "int8-g128", and those with zero points. (A symmetric scale a row is
// "int8".)
// SPDX-License-Identifier: Apache-2.0
#include "quant/grouped_format.h"

namespace espalier {
namespace {

template <FormatName kName, int64_t kGroup>
WeightFormat symmetric() {
  using Format = GroupedFormat<GroupedTraits<kName, "int8", CodeType::kInt8, kGroup>>;
  return Format::row(kGroupedActivation, &matmul_int8g_int8_ref, ESP_X86_KERNEL(matmul_int8g_int8_avx2),
                     ESP_X86_KERNEL(matmul_int8g_int8_avx512));
}
template <FormatName kName, int64_t kGroup>
WeightFormat asymmetric() {
  using Format = GroupedFormat<GroupedTraits<kName, "int8", CodeType::kInt8, kGroup, true>>;
  return Format::row(kGroupedActivation, &matmul_int8g_int8_zeros_ref, ESP_X86_KERNEL(matmul_int8g_int8_zeros_avx2),
                     ESP_X86_KERNEL(matmul_int8g_int8_zeros_avx512));
}

}  // namespace

extern const WeightFormat kWeightFormatsInt8Grouped[7];
const WeightFormat kWeightFormatsInt8Grouped[7] = {
    symmetric<"int8-g32", 32>(),       symmetric<"int8-g64", 64>(),       symmetric<"int8-g128", 128>(),
    asymmetric<"int8-g32-asym", 32>(), asymmetric<"int8-g64-asym", 64>(), asymmetric<"int8-g128-asym", 128>(),
    asymmetric<"int8-asym", 0>(),
};

}  // namespace espalier
