// Weight formats "int4-g32", "int4-g64", "int4-g128" and "int4" (a scale a row), symmetric and with zero points.
// SPDX-License-Identifier: Apache-2.0
#include "quant/grouped_format.h"

namespace espalier {
namespace {

template <FormatName kName, int64_t kGroup>
using Symmetric = GroupedFormat<GroupedTraits<kName, "int4", CodeType::kInt4, kGroup>>;
template <FormatName kName, int64_t kGroup>
using Asymmetric = GroupedFormat<GroupedTraits<kName, "int4", CodeType::kInt4, kGroup, true>>;

template <typename Format>
WeightFormat symmetric() {
  return Format::row(kGroupedActivation, &matmul_int8g_int4_ref, ESP_X86_KERNEL(matmul_int8g_int4_avx2),
                     ESP_X86_KERNEL(matmul_int8g_int4_avx512));
}
template <typename Format>
WeightFormat asymmetric() {
  return Format::row(kGroupedActivation, &matmul_int8g_int4_zeros_ref, ESP_X86_KERNEL(matmul_int8g_int4_zeros_avx2),
                     ESP_X86_KERNEL(matmul_int8g_int4_zeros_avx512));
}

}  // namespace

extern const WeightFormat kWeightFormatsInt4[8];
const WeightFormat kWeightFormatsInt4[8] = {
    symmetric<Symmetric<"int4-g32", 32>>(),          symmetric<Symmetric<"int4-g64", 64>>(),
    symmetric<Symmetric<"int4-g128", 128>>(),        symmetric<Symmetric<"int4", 0>>(),
    asymmetric<Asymmetric<"int4-g32-asym", 32>>(),   asymmetric<Asymmetric<"int4-g64-asym", 64>>(),
    asymmetric<Asymmetric<"int4-g128-asym", 128>>(), asymmetric<Asymmetric<"int4-asym", 0>>(),
};

}  // namespace espalier
