// What the integer kernels make of the values of 4-bit codes.
// Plain constants: only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "quant/table4_values.h"

namespace espalier {
namespace {

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
//   14 bits 3.9e-5, and sums of 32 products with 14-bit integers stay within int32
constexpr int kNf4Unit14 = 8005;
// fp4's values are twelfths and one 192nd of 1, e2m1's halves: exact.
constexpr int kFp4Unit = 192, kE2M1Unit = 2;
constexpr int kE2M1Offset = 12;

}  // namespace
}  // namespace espalier
