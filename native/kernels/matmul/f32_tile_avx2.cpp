// f32_tile for AVX2: up to 6 rows x 16 columns in registers.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/f32_tile.h"

#include "kernels/matmul/epilogue_avx2.h"

namespace espalier {
namespace {

template <int R>
void tile_rows(const F32Tile& t) {
  __m256 acc[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    acc[r][0] = t.first ? _mm256_setzero_ps() : _mm256_load_ps(t.partial + r * 16);
    acc[r][1] = t.first ? _mm256_setzero_ps() : _mm256_load_ps(t.partial + r * 16 + 8);
  }

  if (t.last)
    for (int64_t r = 0; r < t.rows; ++r) _mm_prefetch(reinterpret_cast<const char*>(t.out + r * t.ldo), _MM_HINT_T0);
  const float* a = t.a;
  const float* b = t.b0;
  const auto step = [&]() __attribute__((always_inline)) {
    const __m256 b0 = _mm256_loadu_ps(b), b1 = _mm256_loadu_ps(b + 8);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m256 value = _mm256_broadcast_ss(a + r);
      acc[r][0] = _mm256_fmadd_ps(value, b0, acc[r][0]);
      acc[r][1] = _mm256_fmadd_ps(value, b1, acc[r][1]);
    }
    a += t.tile_rows;
    b += 16;
  };
  const char* next_b0 = t.next_b[0];
  const char* next_a = t.next_a;
  int64_t k = 0;
  for (; k + kTileFetchSteps <= t.k; k += kTileFetchSteps) {
    for (int64_t line = 0; line < t.next_lines; ++line, next_b0 += 64) _mm_prefetch(next_b0, _MM_HINT_T1);
    _mm_prefetch(next_a, _MM_HINT_T1);
    next_a += 64;
#pragma GCC unroll 4
    for (int64_t i = 0; i < kTileFetchSteps; ++i) step();
  }
  for (; k < t.k; ++k) step();

  if (!t.last) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      _mm256_store_ps(t.partial + r * 16, acc[r][0]);
      _mm256_store_ps(t.partial + r * 16 + 8, acc[r][1]);
    }
    return;
  }
  const Epilogue epilogue = epilogue_of(t.scale, t.bias, t.columns, t.accumulate);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    if (r >= t.rows) break;
    store(epilogue, t.out + r * t.ldo, 0, acc[r][0]);
    store(epilogue, t.out + r * t.ldo, 1, acc[r][1]);
  }
}

using TileFunction = void (*)(const F32Tile&);
const TileFunction kTiles[kTileRowsAvx2] = {tile_rows<1>, tile_rows<2>, tile_rows<3>,
                                            tile_rows<4>, tile_rows<5>, tile_rows<6>};

}  // namespace

void f32_tile_avx2(const F32Tile& tile) { kTiles[tile.tile_rows - 1](tile); }

}  // namespace espalier
