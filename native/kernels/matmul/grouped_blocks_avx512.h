// Blocks of grouped codes as f32 for the blocked loops (float_tiles_avx512.h): scales and zero points folded in, the
// values exactly those of unpack_rows. A Values type:
//   kBits, kZeros
//   unpack32(codes, scale, zero, out)   32 columns of 16 rows -> out [32][16]
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/float_tiles_avx512.h"
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

}  // namespace
}  // namespace espalier
