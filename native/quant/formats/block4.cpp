// Number formats "nf4" and "fp4" of bitsandbytes: blocks of the flattened weight, scaled by their largest magnitude.
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "quant/number_format.h"

namespace espalier {
namespace {

// Of zeros 0, not -0.
CellScale scale_of(float low, float high, bool, float) { return {std::max(high, -low), 0.0f}; }

}  // namespace

extern const NumberFormat kNumberFormatNf4, kNumberFormatFp4;
const NumberFormat kNumberFormatNf4 = {"nf4",           CodeType::kNf4,        false,  64, false, true,
                                       ScaleType::kF32, cell_scales<scale_of>, nullptr};
const NumberFormat kNumberFormatFp4 = {"fp4",           CodeType::kFp4,        false,  64, false, true,
                                       ScaleType::kF32, cell_scales<scale_of>, nullptr};

}  // namespace espalier
