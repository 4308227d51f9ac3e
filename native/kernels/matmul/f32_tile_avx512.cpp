// f32_tile for AVX-512: up to 14 rows x 32 columns in registers.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/epilogue_avx512.h"
#include "kernels/matmul/f32_tile.h"

namespace espalier {
namespace {

// How far ahead of its use x is brought from L2 to L1 (0.80 -> 0.85 of the ceiling on Granite Rapids; fetching the
// weights as well gained nothing there).
constexpr int64_t kAheadBytes = 1024;

template <int R, int P>
void tile_rows_panels(const F32Tile& t) {
  __m512 acc[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int p = 0; p < P; ++p)
      acc[r][p] = t.first ? _mm512_setzero_ps() : _mm512_load_ps(t.partial + (r * P + p) * 16);

  if (t.last)
    for (int64_t r = 0; r < t.rows; ++r)
      for (int p = 0; p < P; ++p) _mm_prefetch(reinterpret_cast<const char*>(t.out + r * t.ldo + p * 16), _MM_HINT_T0);
  const float* a = t.a;
  const float* b0 = t.b0;
  const float* b1 = t.b1;
  const auto step = [&]() __attribute__((always_inline)) {
    __m512 b[P];
    b[0] = _mm512_loadu_ps(b0);
    if (P == 2) b[P - 1] = _mm512_loadu_ps(b1);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512 value = _mm512_set1_ps(a[r]);
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) acc[r][p] = _mm512_fmadd_ps(value, b[p], acc[r][p]);
    }
    a += t.tile_rows;
    b0 += 16;
    b1 += P == 2 ? 16 : 0;
  };
  const char* next_b0 = t.next_b[0];
  const char* next_b1 = t.next_b[1];
  const char* next_a = t.next_a;
  int64_t k = 0;
  for (; k + kTileFetchSteps <= t.k; k += kTileFetchSteps) {
    for (int64_t line = 0; line < t.next_lines; ++line) {
      _mm_prefetch(next_b0, _MM_HINT_T1);
      _mm_prefetch(next_b1, _MM_HINT_T1);
      next_b0 += 64;
      next_b1 += 64;
    }
    _mm_prefetch(next_a, _MM_HINT_T1);
    next_a += 64;
#pragma GCC unroll 8
    for (int line = 0; line < R * kTileFetchSteps * 4; line += 64)
      _mm_prefetch(reinterpret_cast<const char*>(a) + kAheadBytes + line, _MM_HINT_T0);
#pragma GCC unroll 2
    for (int64_t i = 0; i < kTileFetchSteps; ++i) step();
  }
  for (; k < t.k; ++k) step();

  if (!t.last) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int p = 0; p < P; ++p) _mm512_store_ps(t.partial + (r * P + p) * 16, acc[r][p]);
    return;
  }
#pragma GCC unroll 2
  for (int p = 0; p < P; ++p) {
    const Epilogue epilogue = epilogue_of(t.scale, t.bias, t.columns, p, t.accumulate);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      if (r < t.rows) store(epilogue, t.out + r * t.ldo + p * 16, acc[r][p]);
  }
}

using TileFunction = void (*)(const F32Tile&);
#define ESP_TILE_ROW(R) \
  { tile_rows_panels<R, 1>, tile_rows_panels<R, 2> }
const TileFunction kTiles[kTileRowsAvx512][2] = {ESP_TILE_ROW(1),  ESP_TILE_ROW(2),  ESP_TILE_ROW(3),  ESP_TILE_ROW(4),
                                                 ESP_TILE_ROW(5),  ESP_TILE_ROW(6),  ESP_TILE_ROW(7),  ESP_TILE_ROW(8),
                                                 ESP_TILE_ROW(9),  ESP_TILE_ROW(10), ESP_TILE_ROW(11), ESP_TILE_ROW(12),
                                                 ESP_TILE_ROW(13), ESP_TILE_ROW(14)};

}  // namespace

void f32_tile_avx512(const F32Tile& tile) { kTiles[tile.tile_rows - 1][tile.b1 != nullptr](tile); }

}  // namespace espalier
