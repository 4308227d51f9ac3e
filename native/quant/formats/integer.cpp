// Number formats "int8" and "int4": rounded integers, symmetric or with zero points, as compressed-tensors defines
// them. SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cfloat>
#include <cmath>

#include "quant/number_format.h"

namespace espalier {
namespace {

// symmetric   scale = absmax / half of the codes' span (127.5, 7.5)
// asymmetric  scale = (high - low) / span, zero = least code - low / scale, rounded half to even
// A cell of zeros has scale f32 epsilon.
template <int kLeast, int kMost>
CellScale scale_of(float low, float high, bool symmetric, float) {
  constexpr float kHalfSpan = (kMost - kLeast) / 2.0f;
  if (symmetric) {
    const float scale = std::max(-low, high) / kHalfSpan;
    return {scale == 0 ? FLT_EPSILON : scale, 0.0f};
  }
  // Halves: high - low may be beyond f32. The quotient is the same to the bit, odd subnormals apart.
  const float scale = (high * 0.5f - low * 0.5f) / kHalfSpan;
  if (scale == 0) return {FLT_EPSILON, 0.0f};
  const float zero = std::clamp(kLeast - low / scale, static_cast<float>(kLeast), static_cast<float>(kMost));
  return {scale, std::nearbyint(zero) + 0.0f};  // never -0
}

}  // namespace

extern const NumberFormat kNumberFormatInt8, kNumberFormatInt4;
const NumberFormat kNumberFormatInt8 = {
    "int8", CodeType::kInt8, true, 0, false, false, ScaleType::kF32, cell_scales<scale_of<-128, 127>>, nullptr};
const NumberFormat kNumberFormatInt4 = {
    "int4", CodeType::kInt4, true, 128, false, false, ScaleType::kF32, cell_scales<scale_of<-8, 7>>, nullptr};

}  // namespace espalier
