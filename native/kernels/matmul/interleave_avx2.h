// Rows of 32-bit words -> tiles [words][tile_rows], 8 x 8 at a time. Local to the including ISA file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/epilogue_avx2.h"

namespace espalier {
namespace {

// 8 rows of 8 words -> 8 columns.
inline void transpose8(__m256* r) {
  __m256 t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int j = 0; j < 4; ++j) {
    t[j] = _mm256_permute2f128_ps(r[j], r[4 + j], 0x20);
    t[4 + j] = _mm256_permute2f128_ps(r[j], r[4 + j], 0x31);
  }
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}

// Rows [first, first + 8) of the tile; `height` of them exist in it. Whole vectors are stored in rising order (the next
// store repairs the overhang; masked stores are slow on Zen), masked ones where the tile ends.
inline void interleave8(const uint32_t* source, int64_t stride, int64_t rows, int64_t count, int64_t tile_rows,
                        int64_t height, uint32_t* out) {
  for (int64_t i = 0; i < count; i += 8) {
    const __m256i width = lanes(count - i);
    __m256 block[8];
    for (int64_t row = 0; row < 8; ++row)
      block[row] = row < rows ? _mm256_maskload_ps(reinterpret_cast<const float*>(source) + row * stride + i, width)
                              : _mm256_setzero_ps();
    transpose8(block);
    const int64_t columns = count - i < 8 ? count - i : 8;
    for (int64_t column = 0; column < columns; ++column) {
      float* to = reinterpret_cast<float*>(out) + (i + column) * tile_rows;
      if (height >= 8 || (height == tile_rows && (i + column) * tile_rows + 8 <= count * tile_rows))
        _mm256_storeu_ps(to, block[column]);
      else
        _mm256_maskstore_ps(to, lanes(height), block[column]);
    }
  }
}

// source [rows, count] words, rows `stride` apart -> out [count][tile_rows]; rows beyond `rows` are zeros.
// 1 <= rows <= tile_rows <= 16.
inline void interleave_rows(const uint32_t* source, int64_t stride, int64_t rows, int64_t count, int64_t tile_rows,
                            uint32_t* out) {
  for (int64_t first = 0; first < tile_rows; first += 8)
    interleave8(source + first * stride, stride, rows - first, count, tile_rows, tile_rows - first, out + first);
}

}  // namespace
}  // namespace espalier
