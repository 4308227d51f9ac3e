// How the codes of grouped formats become operands of vpmaddubsw: value = (plane 1 << kShift | plane 0) - kOffset,
// times 1 / kUnit. A Codes type:
//   kBits, kZeros, kPlanes, kShift, kOffset, kUnit
//   kParts                      words of k that 32 bytes hold: 2 of 4-bit codes, 1 of int8
//   kWords                      words whose sums of two products fit int16 when added up
//   part(bytes, i, planes)      the i-th of the words, of 8 columns
//   products(plane, x)          sums of two products, int16
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/table4_planes.h"
#include "kernels/simd_x86.h"

namespace espalier {
namespace {

inline __m256i nibbles(__m256i bytes, int part) {
  return _mm256_and_si256(part == 0 ? bytes : _mm256_srli_epi16(bytes, 4), _mm256_set1_epi8(15));
}

template <bool kHasZeros>
struct Int4Codes {
  static constexpr int kBits = 4, kPlanes = 1, kParts = 2, kShift = 0, kOffset = 8, kUnit = 1;
  static constexpr int kWords = 8;  // 8 * 2 * 15 * 127 < 32768
  static constexpr bool kZeros = kHasZeros;
  static void part(__m256i bytes, int i, __m256i (&planes)[1]) { planes[0] = nibbles(bytes, i); }
  static __m256i products(__m256i plane, __m256i x) { return _mm256_maddubs_epi16(plane, x); }
};

// Signed: the sign moves to x, 2 * 128 * 127 < 32768.
template <bool kHasZeros>
struct Int8Codes {
  static constexpr int kBits = 8, kPlanes = 1, kParts = 1, kShift = 0, kOffset = 0, kUnit = 1;
  static constexpr int kWords = 1;
  static constexpr bool kZeros = kHasZeros;
  static void part(__m256i bytes, int, __m256i (&planes)[1]) {
    planes[0] = _mm256_xor_si256(bytes, _mm256_set1_epi8(static_cast<char>(0x80)));
  }
  static __m256i products(__m256i plane, __m256i x) {
    return _mm256_maddubs_epi16(_mm256_abs_epi8(plane), _mm256_sign_epi8(x, plane));
  }
};

inline __m256i byte_table(const uint8_t (&table)[16]) {
  return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
}

template <const float (&kValues)[16], int kTableUnit, int kTableOffset, int kPlaneBits, int kFit>
struct TableCodes {
  static constexpr int kBits = 4, kPlanes = kPlaneBits > 0 ? 2 : 1, kParts = 2, kShift = kPlaneBits;
  static constexpr int kOffset = kTableOffset, kUnit = kTableUnit, kWords = kFit;
  static constexpr bool kZeros = false;
  static constexpr Planes kTable = planes_of(kValues, kUnit, kOffset, kPlanes == 2 ? kShift : 8);

  static void part(__m256i bytes, int i, __m256i (&planes)[kPlanes]) {
    const __m256i codes = nibbles(bytes, i);
    planes[0] = _mm256_shuffle_epi8(byte_table(kTable.low), codes);
    if (kPlanes == 2) planes[kPlanes - 1] = _mm256_shuffle_epi8(byte_table(kTable.high), codes);
  }
  static __m256i products(__m256i plane, __m256i x) { return _mm256_maddubs_epi16(plane, x); }
};
// 2 * 2 * 63 * 127 and 4 * 2 * 24 * 127 are below 32768.
using Nf4Codes = TableCodes<kNf4Values, kNf4Unit6, 2048, 6, 2>;
using Fp4Codes = TableCodes<kFp4Values, kFp4Unit, 256, 6, 2>;
using E2M1Codes = TableCodes<kE2M1Values, kE2M1Unit, kE2M1Offset, 0, 4>;

}  // namespace
}  // namespace espalier
