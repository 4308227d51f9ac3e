// Rows of 32-bit words -> tiles [words][tile_rows], 16 x 16 at a time. Local to the including ISA file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/epilogue_avx512.h"

namespace espalier {
namespace {

// 16 rows of 16 words -> 16 columns.
inline void transpose16(__m512i* r) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  // r[4 g + j], 128-bit lane l: column 4 l + j of rows 4 g .. 4 g + 3.
  for (int j = 0; j < 4; ++j) {
    const __m512i low02 = _mm512_shuffle_i32x4(r[j], r[4 + j], 0x88);
    const __m512i low13 = _mm512_shuffle_i32x4(r[j], r[4 + j], 0xdd);
    const __m512i high02 = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0x88);
    const __m512i high13 = _mm512_shuffle_i32x4(r[8 + j], r[12 + j], 0xdd);
    t[j] = _mm512_shuffle_i32x4(low02, high02, 0x88);
    t[8 + j] = _mm512_shuffle_i32x4(low02, high02, 0xdd);
    t[4 + j] = _mm512_shuffle_i32x4(low13, high13, 0x88);
    t[12 + j] = _mm512_shuffle_i32x4(low13, high13, 0xdd);
  }
  for (int i = 0; i < 16; ++i) r[i] = t[i];
}

// source [rows, count] words, rows `stride` apart -> out [count][tile_rows]; rows beyond `rows` are zeros.
// 1 <= rows <= tile_rows <= 16.
inline void interleave_rows(const uint32_t* source, int64_t stride, int64_t rows, int64_t count, int64_t tile_rows,
                            uint32_t* out) {
  const __mmask16 height = lanes(tile_rows);
  for (int64_t i = 0; i < count; i += 16) {
    const __mmask16 width = lanes(count - i);
    __m512i block[16];
    for (int64_t row = 0; row < 16; ++row)
      block[row] = row < rows ? _mm512_maskz_loadu_epi32(width, source + row * stride + i) : _mm512_setzero_si512();
    transpose16(block);
    const int64_t columns = count - i < 16 ? count - i : 16;
    for (int64_t column = 0; column < columns; ++column)
      _mm512_mask_storeu_epi32(out + (i + column) * tile_rows, height, block[column]);
  }
}

}  // namespace
}  // namespace espalier
