// The f32 tile: the inner product of every blocked float kernel. Plain C types only.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// out[r, c] (+)= (sum over k of a[k][r] * b[c / 16][k][c % 16]) * scale[c] + bias[c]
// A long k is cut into blocks: sums start from `partial` unless `first`, and end there unless `last`. (Keeping them in
// out costs: rows a power of two apart share a few cache sets.)
// a          [k][tile_rows] f32
// b0, b1     [k][16] f32 panels; b1 nullptr: one panel
// scale      [16 or 32] or nullptr; bias [columns] or nullptr
// out        [rows, columns], rows ldo apart; rows <= tile_rows, columns <= 16 or 32
// partial    [tile_rows][16 or 32] f32, 64-byte aligned; unused when first and last
// next_b, next_a  what later tiles will read: next_lines lines of each next_b and one of next_a are fetched into L2
//                 every kTileFetchSteps steps of k. Any address does.
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
  const char* next_b[2];
  const char* next_a;
  int64_t next_lines;
  float* partial;
  bool first, last;
  bool accumulate;
};

constexpr int64_t kTileFetchSteps = 8;

constexpr int64_t kTileRowsAvx512 = 14;  // 14 x 32: 28 accumulators, 2 weight vectors, 1 broadcast
constexpr int64_t kTileRowsAvx2 = 6;     // 6 x 16: 12 accumulators, 2 weight vectors, 1 broadcast

void f32_tile_avx512(const F32Tile& tile);  // tile_rows <= kTileRowsAvx512
void f32_tile_avx2(const F32Tile& tile);    // tile_rows <= kTileRowsAvx2; b1 is ignored

}  // namespace espalier
