// Number formats "mxfp8", "mxfp4" (OCP Microscaling Formats 1.0: 32 values under a power of two) and "nvfp4" (16 values
// under an e4m3 scale, which a scale of the whole tensor keeps in range).
// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

#include "quant/number_format.h"

namespace espalier {
namespace {

// 2^(e - kLargestExponent), where 2^kLargestExponent is the power of two of the largest code and 2^e that of absmax,
// from 1.75 * 2^e on the next: compressed-tensors rounds so, where the standard always takes the lower one.
template <int kLargestExponent>
CellScale power_of_two(float low, float high, bool, float) {
  const float absmax = std::max(-low, high);
  // f32's exponent; a quarter of 2^e more carries into it. Subnormals end at -126 like the least of the others.
  const int exponent = static_cast<int>((std::bit_cast<uint32_t>(absmax) + 0x200000u) >> 23) - 127;
  const int scale = std::clamp(exponent - kLargestExponent, -126, 127);
  const float power = std::bit_cast<float>(static_cast<uint32_t>(scale + 127) << 23);
  return {absmax == 0 ? 0x1p-127f : power, 0.0f};  // exponent 0 in the files
}

// What e4m3 holds of x >= 0: steps of 2^-9 below 2^-6, above three bits of mantissa; ties to even.
float nearest_e4m3(float x) {
  const float small = (x + 0x1.8p14f) - 0x1.8p14f;
  const uint32_t bits = std::bit_cast<uint32_t>(x);
  const float large = std::bit_cast<float>((bits + 0x7ffffu + ((bits >> 20) & 1u)) & 0xfff00000u);
  return x < 0x1p-6f ? small : std::min(large, 448.0f);
}

// The stored scale is e4m3(global * absmax / 6); a block of zeros has 0.125.
CellScale nvfp4_scale(float low, float high, bool, float global) {
  const float wanted = global * std::max(-low, high) / 6.0f;
  const float stored = nearest_e4m3(wanted);
  return {(stored == 0 ? 0.125f : stored) / global, 0.0f};
}

// 1 where the quotient would be beyond f32.
float nvfp4_global(float absmax) {
  const float global = 448.0f * 6.0f / absmax;
  return std::isfinite(global) ? global : 1.0f;
}

}  // namespace

extern const NumberFormat kNumberFormatMxFp8, kNumberFormatMxFp4, kNumberFormatNvFp4;
const NumberFormat kNumberFormatMxFp8 = {"mxfp8",          CodeType::kFp8E4M3,           false,  32, true, false,
                                         ScaleType::kE8M0, cell_scales<power_of_two<8>>, nullptr};
const NumberFormat kNumberFormatMxFp4 = {
    "mxfp4", CodeType::kE2M1, false, 32, true, false, ScaleType::kE8M0, cell_scales<power_of_two<2>>, nullptr};
const NumberFormat kNumberFormatNvFp4 = {"nvfp4",          CodeType::kE2M1,          false,       16, true, false,
                                         ScaleType::kE4M3, cell_scales<nvfp4_scale>, nvfp4_global};

}  // namespace espalier
