// Blocks of grouped codes as f32 for the blocked loops (float_tiles_avx2.h): scales and zero points folded in, the
// values exactly those of unpack_rows. A Values type:
//   kBits, kZeros
//   unpack32(codes, header, out)   32 columns of 16 rows -> out [32][16]
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/float_tiles_avx2.h"
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

}  // namespace
}  // namespace espalier
