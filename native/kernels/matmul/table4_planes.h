// The sixteen values of 4-bit codes that are places in a table, and what the integer kernels make of them.
// Plain constants: only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {
namespace {

// By code. nf4: QLoRA, appendix E. fp4: bitsandbytes' order. e2m1: OCP microscaling.
alignas(64) constexpr float kNf4Values[16] = {-1.0f,
                                              -0.6961928009986877f,
                                              -0.5250730514526367f,
                                              -0.39491748809814453f,
                                              -0.28444138169288635f,
                                              -0.18477343022823334f,
                                              -0.09105003625154495f,
                                              0.0f,
                                              0.07958029955625534f,
                                              0.16093020141124725f,
                                              0.24611230194568634f,
                                              0.33791524171829224f,
                                              0.44070982933044434f,
                                              0.5626170039176941f,
                                              0.7229568362236023f,
                                              1.0f};
alignas(64) constexpr float kFp4Values[16] = {
    0.0f,  0.005208333333f,  0.66666667f,  1.0f,  0.33333333f,  0.5f,  0.16666667f,  0.25f,
    -0.0f, -0.005208333333f, -0.66666667f, -1.0f, -0.33333333f, -0.5f, -0.16666667f, -0.25f};
alignas(64) constexpr float kE2M1Values[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                                               -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};
alignas(64) constexpr float kInt4Values[16] = {-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7};

// Values as unsigned integers: value = ((high << shift | low) - offset) / unit. One plane (high all zero) where they
// fit.
struct Planes {
  uint8_t high[16], low[16];
};
constexpr Planes planes_of(const float (&values)[16], int unit, int offset, int shift) {
  Planes planes{};
  for (int code = 0; code < 16; ++code) {
    const float scaled = values[code] * static_cast<float>(unit);
    const int whole = static_cast<int>(scaled < 0 ? scaled - 0.5f : scaled + 0.5f) + offset;
    planes.high[code] = static_cast<uint8_t>(whole >> shift);
    planes.low[code] = static_cast<uint8_t>(whole & ((1 << shift) - 1));
  }
  return planes;
}

// nf4 in two planes of b bits. The units come closest to the table of all that fit; the largest error, of absmax:
//   6 bits  1.2e-4 (2^-13), two sums of pairs of products with int8 stay within int16
//   8 bits  7.8e-6 (2^-17), where products are summed in int32 at once
constexpr int kNf4Unit6 = 1722, kNf4Unit8 = 31908;
// fp4's values are twelfths and one 192nd of 1, e2m1's halves: exact.
constexpr int kFp4Unit = 192, kE2M1Unit = 2;
constexpr int kE2M1Offset = 12;

}  // namespace
}  // namespace espalier
