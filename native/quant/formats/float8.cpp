// Number formats "fp8_e4m3" and "fp8_e5m2": 8-bit floats under a scale of absmax / largest.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cfloat>

#include "quant/number_format.h"

namespace espalier {
namespace {

template <int kLargest>
CellScale scale_of(float low, float high, bool, float) {
  const float scale = std::max(-low, high) / static_cast<float>(kLargest);
  return {scale == 0 ? FLT_EPSILON : scale, 0.0f};
}

}  // namespace

extern const NumberFormat kNumberFormatE4M3, kNumberFormatE5M2;
const NumberFormat kNumberFormatE4M3 = {"fp8_e4m3",      CodeType::kFp8E4M3,         false,  0, false, false,
                                        ScaleType::kF32, cell_scales<scale_of<448>>, nullptr};
const NumberFormat kNumberFormatE5M2 = {"fp8_e5m2",      CodeType::kFp8E5M2,           false,  0, false, false,
                                        ScaleType::kF32, cell_scales<scale_of<57344>>, nullptr};

}  // namespace espalier
