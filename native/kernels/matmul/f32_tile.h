// The f32 tile: the inner product of every blocked float kernel. Plain C types only.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// out[r, c] (+)= (sum over k of a[k][r] * b[c / 16][k][c % 16]) * scale[c] + bias[c]
// a          [k][tile_rows] f32
// b0, b1     [k][16] f32 panels; b1 nullptr: one panel
// scale      [16 or 32] or nullptr; bias [columns] or nullptr
// out        [rows, columns], rows ldo apart; rows <= tile_rows, columns <= 16 or 32
struct F32Tile {
  const float* a;
  const float* b0;
  const float* b1;
  int64_t k;
  int64_t tile_rows;
  const float* scale;
  const float* bias;
  float* out;
  int64_t ldo;
  int64_t rows, columns;
  bool accumulate;
};

constexpr int64_t kTileRowsAvx512 = 14;  // 14 x 32: 28 accumulators, 2 weight vectors, 1 broadcast
constexpr int64_t kTileRowsAvx2 = 6;     // 6 x 16: 12 accumulators, 2 weight vectors, 1 broadcast

void f32_tile_avx512(const F32Tile& tile);  // tile_rows <= kTileRowsAvx512
void f32_tile_avx2(const F32Tile& tile);    // tile_rows <= kTileRowsAvx2; b1 is ignored

}  // namespace espalier
