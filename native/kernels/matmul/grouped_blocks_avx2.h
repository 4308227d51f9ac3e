// Blocks of grouped codes as f32 for the blocked loops (float_tiles_avx2.h): scales and zero points folded in, the
// values exactly those of unpack_rows. A Values type:
//   kBits, kZeros
//   unpack32(codes, header, out)   32 columns of 16 rows -> out [32][16]
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/float_tiles_avx2.h"
#include "kernels/matmul/table4_planes.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

// Scales and zero points of 8 columns.
struct GroupHeader {
  __m256 scale, zero;
};

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
      const float* header =
          reinterpret_cast<const float*>(codes - i % layout.group * kPanel * Values::kBits / 8 - layout.header_bytes);
      for (int half = 0; half < 2; ++half) {
        GroupHeader h;
        h.scale = _mm256_loadu_ps(header + half * 8);
        h.zero = Values::kZeros ? _mm256_loadu_ps(header + kPanel + half * 8) : _mm256_setzero_ps();
        Values::unpack32(codes, half, h, out + (i - k) * kPanel + half * 8);
      }
    }
  }

  static const float* scale(const LinearProblem&, int64_t) { return nullptr; }
};

inline __m256i load_words(const char* bytes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)); }

template <bool kHasZeros>
struct Int4Values {
  static constexpr int kBits = 4;
  static constexpr bool kZeros = kHasZeros;
  static void unpack32(const char* codes, int half, const GroupHeader& h, float* out) {
    for (int step = 0; step < 4; ++step) {
      const __m256i words = load_words(codes + step * 64 + half * 32);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        const __m256i code = _mm256_and_si256(_mm256_srli_epi32(words, i % 4 * 8 + i / 4 * 4), _mm256_set1_epi32(15));
        __m256 value = _mm256_cvtepi32_ps(_mm256_sub_epi32(code, _mm256_set1_epi32(8)));
        if (kZeros) value = _mm256_sub_ps(value, h.zero);
        _mm256_storeu_ps(out + (step * 8 + i) * kPanel, _mm256_mul_ps(value, h.scale));
      }
    }
  }
};

template <const float (&kTable)[16]>
struct TableValues {
  static constexpr int kBits = 4;
  static constexpr bool kZeros = false;
  static void unpack32(const char* codes, int half, const GroupHeader& h, float* out) {
    const __m256 low = _mm256_load_ps(kTable), high = _mm256_load_ps(kTable + 8);
    for (int step = 0; step < 4; ++step) {
      const __m256i words = load_words(codes + step * 64 + half * 32);
#pragma GCC unroll 8
      for (int i = 0; i < 8; ++i) {
        // vpermps reads the lowest three bits of each place; the fourth, moved to the sign, picks the half.
        const __m256i code = _mm256_srli_epi32(words, i % 4 * 8 + i / 4 * 4);
        const __m256 upper = _mm256_castsi256_ps(_mm256_slli_epi32(code, 28));
        const __m256 value =
            _mm256_blendv_ps(_mm256_permutevar8x32_ps(low, code), _mm256_permutevar8x32_ps(high, code), upper);
        _mm256_storeu_ps(out + (step * 8 + i) * kPanel, _mm256_mul_ps(value, h.scale));
      }
    }
  }
};

template <bool kHasZeros>
struct Int8Values {
  static constexpr int kBits = 8;
  static constexpr bool kZeros = kHasZeros;
  static void unpack32(const char* codes, int half, const GroupHeader& h, float* out) {
    const __m256i flip = _mm256_set1_epi8(static_cast<char>(0x80));
    for (int step = 0; step < 8; ++step) {
      const __m256i words = _mm256_xor_si256(load_words(codes + step * 64 + half * 32), flip);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i) {
        __m256 value = _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(words, 24 - 8 * i), 24));
        if (kZeros) value = _mm256_sub_ps(value, h.zero);
        _mm256_storeu_ps(out + (step * 4 + i) * kPanel, _mm256_mul_ps(value, h.scale));
      }
    }
  }
};

}  // namespace
}  // namespace espalier
