// How the codes of grouped formats become operands of vpdpbusd: unsigned bytes, value = (plane 1 << kShift | plane 0) -
// kOffset, times 1 / kUnit. A Codes type:
//   kBits, kZeros, kPlanes, kShift, kOffset, kUnit
//   kParts                      words of k that 64 bytes hold: 2 of 4-bit codes, 1 of int8
//   part(bytes, i, planes)      the i-th of them, of 16 columns
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/table4_planes.h"
#include "kernels/simd_x86.h"

namespace espalier {
namespace {

inline __m512i nibbles(__m512i bytes, int part) {
  return _mm512_and_si512(part == 0 ? bytes : _mm512_srli_epi16(bytes, 4), _mm512_set1_epi8(15));
}

template <bool kHasZeros>
struct Int4Codes {
  static constexpr int kBits = 4, kPlanes = 1, kParts = 2, kShift = 0, kOffset = 8, kUnit = 1;
  static constexpr bool kZeros = kHasZeros;
  static void part(__m512i bytes, int i, __m512i (&planes)[1]) { planes[0] = nibbles(bytes, i); }
};

template <bool kHasZeros>
struct Int8Codes {
  static constexpr int kBits = 8, kPlanes = 1, kParts = 1, kShift = 0, kOffset = 128, kUnit = 1;
  static constexpr bool kZeros = kHasZeros;
  static void part(__m512i bytes, int, __m512i (&planes)[1]) { planes[0] = bytes; }
};

inline __m512i byte_table(const uint8_t (&table)[16]) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}

template <const float (&kValues)[16], int kTableUnit, int kTableOffset, int kPlaneBits>
struct TableCodes {
  static constexpr int kBits = 4, kPlanes = kPlaneBits > 0 ? 2 : 1, kParts = 2, kShift = kPlaneBits;
  static constexpr int kOffset = kTableOffset, kUnit = kTableUnit;
  static constexpr bool kZeros = false;
  static constexpr Planes kTable = planes_of(kValues, kUnit, kOffset, kPlanes == 2 ? kShift : 8);

  static void part(__m512i bytes, int i, __m512i (&planes)[kPlanes]) {
    const __m512i codes = nibbles(bytes, i);
    planes[0] = _mm512_shuffle_epi8(byte_table(kTable.low), codes);
    if (kPlanes == 2) planes[kPlanes - 1] = _mm512_shuffle_epi8(byte_table(kTable.high), codes);
  }
};
using Nf4Codes = TableCodes<kNf4Values, kNf4Unit8, 32768, 8>;
using Fp4Codes = TableCodes<kFp4Values, kFp4Unit, 256, 8>;
using E2M1Codes = TableCodes<kE2M1Values, kE2M1Unit, kE2M1Offset, 0>;

}  // namespace
}  // namespace espalier
