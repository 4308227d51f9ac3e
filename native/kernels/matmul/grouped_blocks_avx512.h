// Blocks of grouped codes as f32 for the blocked loops (float_tiles_avx512.h): scales and zero points folded in, the
// values exactly those of unpack_rows. A Values type:
//   kBits, kZeros
//   unpack32(codes, scale, zero, out)   32 columns of 16 rows -> out [32][16]
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/float_tiles_avx512.h"
#include "kernels/matmul/table4_planes.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

template <typename Values>
struct GroupedBlocks {
  static constexpr bool kInPlace = false;

  static const char* at(const LinearProblem& p, int64_t panel, int64_t k) {
    const GroupedLayout layout = grouped_layout(p.group, p.k, Values::kBits, Values::kZeros);
    return static_cast<const char*>(p.weight) + panel * grouped_panel_bytes(layout, p.k) +
           k / layout.group * layout.group_bytes + layout.header_bytes + k % layout.group * kPanel * Values::kBits / 8;
  }

  static void unpack(const LinearProblem& p, int64_t panel, int64_t k, int64_t count, float* out) {
    const GroupedLayout layout = grouped_layout(p.group, p.k, Values::kBits, Values::kZeros);
    for (int64_t i = k; i < k + count; i += kActivationGroup) {
      const char* codes = at(p, panel, i);
      const char* header = codes - i % layout.group * kPanel * Values::kBits / 8 - layout.header_bytes;
      const __m512 scale = _mm512_loadu_ps(header);
      const __m512 zero = Values::kZeros ? _mm512_loadu_ps(header + 64) : _mm512_setzero_ps();
      Values::unpack32(codes, scale, zero, out + (i - k) * kPanel);
    }
  }

  static const float* scale(const LinearProblem&, int64_t) { return nullptr; }
};

// 4-bit codes, each a place in a table of 16.
template <const float (&kTable)[16], bool kHasZeros = false>
struct TableValues {
  static constexpr int kBits = 4;
  static constexpr bool kZeros = kHasZeros;
  static void unpack32(const char* codes, __m512 scale, __m512 zero, float* out) {
    const __m512 table = _mm512_load_ps(kTable);
    for (int step = 0; step < 4; ++step) {
      const __m512i words = _mm512_loadu_si512(codes + step * 64);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        // vpermps reads the lowest four bits of each place.
        __m512 value = _mm512_permutexvar_ps(_mm512_srli_epi32(words, i % 4 * 8 + i / 4 * 4), table);
        if (kZeros) value = _mm512_sub_ps(value, zero);
        _mm512_store_ps(out + (step * 8 + i) * kPanel, _mm512_mul_ps(value, scale));
      }
    }
  }
};

template <bool kHasZeros>
struct Int8Values {
  static constexpr int kBits = 8;
  static constexpr bool kZeros = kHasZeros;
  static void unpack32(const char* codes, __m512 scale, __m512 zero, float* out) {
    for (int step = 0; step < 8; ++step) {
      const __m512i words = _mm512_loadu_si512(codes + step * 64);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        const __m512i byte = _mm512_and_si512(_mm512_srli_epi32(words, 8 * i), _mm512_set1_epi32(255));
        __m512 value = _mm512_cvtepi32_ps(_mm512_sub_epi32(byte, _mm512_set1_epi32(128)));
        if (kZeros) value = _mm512_sub_ps(value, zero);
        _mm512_store_ps(out + (step * 4 + i) * kPanel, _mm512_mul_ps(value, scale));
      }
    }
  }
};

}  // namespace
}  // namespace espalier
