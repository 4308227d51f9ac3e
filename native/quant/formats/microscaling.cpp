// Number formats "mxfp8", "mxfp4" (OCP Microscaling Formats 1.0: 32 values under a power of two) and "nvfp4" (16 values
// under an e4m3 scale, which a scale of the whole tensor keeps in range).
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "quant/fp8.h"
#include "quant/number_format.h"

namespace espalier {
namespace {

// 2^(e - kLargestExponent), where 2^kLargestExponent is the power of two of the largest code and 2^e that of absmax,
// from 1.75 * 2^e on the next: compressed-tensors rounds so, where the standard always takes the lower one.
template <int kLargestExponent>
CellScale power_of_two(float low, float high, bool, float) {
  const float absmax = std::max(-low, high);
  if (absmax == 0) return {0x1p-127f, 0.0f};  // exponent 0 in the files
  const int exponent = std::ilogb(absmax) + (std::ldexp(absmax, -std::ilogb(absmax)) >= 1.75f);
  return {std::ldexp(1.0f, std::clamp(exponent - kLargestExponent, -126, 127)), 0.0f};
}

// The stored scale is e4m3(global * absmax / 6); a block of zeros has 0.125.
CellScale nvfp4_scale(float low, float high, bool, float global) {
  const float wanted = global * std::max(-low, high) / 6.0f;
  float stored = fp8_e4m3_to_f32(f32_to_fp8_e4m3(wanted));
  if (stored == 0) stored = 0.125f;
  return {stored / global, 0.0f};
}

// 1 where the quotient would be beyond f32.
float nvfp4_global(float absmax) {
  const float global = 448.0f * 6.0f / absmax;
  return std::isfinite(global) ? global : 1.0f;
}

}  // namespace

extern const NumberFormat kNumberFormatMxFp8, kNumberFormatMxFp4, kNumberFormatNvFp4;
const NumberFormat kNumberFormatMxFp8 = {"mxfp8", CodeType::kFp8E4M3, false,           32,     true,
                                         false,   ScaleType::kE8M0,   power_of_two<8>, nullptr};
const NumberFormat kNumberFormatMxFp4 = {"mxfp4", CodeType::kE2M1,  false,           32,     true,
                                         false,   ScaleType::kE8M0, power_of_two<2>, nullptr};
const NumberFormat kNumberFormatNvFp4 = {"nvfp4", CodeType::kE2M1,  false,       16,          true,
                                         false,   ScaleType::kE4M3, nvfp4_scale, nvfp4_global};

}  // namespace espalier
