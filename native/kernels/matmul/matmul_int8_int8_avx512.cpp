// matmul_int8_int8_avx512: vpdpbusd over activations offset by 128; 128 * (sum of the weights) is taken off at the end.
// Sums are exact modulo 2^32, and the true sum fits int32 (k <= 131072).
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/epilogue_avx512.h"
#include "kernels/matmul/linear_kernel.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

constexpr int64_t kRowsLimit = 8;
constexpr int64_t kTileRows = 14;
constexpr int64_t kPrefetchBytes = 2048;

const char* panel_of(const LinearProblem& p, int64_t index) {
  return static_cast<const char*>(p.weight) + index * panel_bytes_int8_w8a8(p.k);
}

// Per panel: what turns 16 raw sums into 16 results.
struct Scaling {
  __m512i offset;  // 128 * sum of the weights
  __m512 scale;    // of the weights
  Epilogue epilogue;
};

Scaling scaling_of(const LinearProblem& p, int64_t panel) {
  const char* blob = static_cast<const char*>(p.weight);
  const int64_t column = panel * kPanel;
  const float* scales = reinterpret_cast<const float*>(blob + scale_offset_int8_w8a8(p.n, p.k)) + column;
  const int32_t* sums = reinterpret_cast<const int32_t*>(blob + sum_offset_int8_w8a8(p.n, p.k)) + column;
  const float* bias = p.bias != nullptr ? p.bias + column : nullptr;
  return {_mm512_slli_epi32(_mm512_loadu_si512(sums), 7), _mm512_loadu_ps(scales),
          epilogue_of(nullptr, bias, p.n - column, 0, p.accumulate)};
}

void store_sum(const Scaling& s, __m512i sum, float x_scale, float* out) {
  const __m512 value = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, s.offset));
  store(s.epilogue, out, _mm512_mul_ps(value, _mm512_mul_ps(_mm512_set1_ps(x_scale), s.scale)));
}

float* out_of(const LinearProblem& p, int64_t row, int64_t panel) {
  return p.out + (row - p.out_row) * p.ldo + (panel - p.out_panel) * kPanel;
}

// R rows of x against one panel, U words of k in flight.
template <int R, int U>
void stream_panel(const LinearProblem& p, int64_t panel) {
  __m512i acc[U][R];
#pragma GCC unroll 8
  for (int u = 0; u < U; ++u)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) acc[u][r] = _mm512_setzero_si512();
  const int32_t* x = static_cast<const int32_t*>(p.x);
  const char* bytes = panel_of(p, panel);
  const int64_t words = ceil_div(p.k, 4);
  int64_t i = 0;
  for (; i + U <= words; i += U) {
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) {
      _mm_prefetch(bytes + kPrefetchBytes + u * 64, _MM_HINT_T0);
      const __m512i w = _mm512_loadu_si512(bytes + u * 64);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
        acc[u][r] = _mm512_dpbusd_epi32(acc[u][r], _mm512_set1_epi32(x[r * p.x_stride + i + u]), w);
    }
    bytes += U * 64;
  }
  for (; i < words; ++i, bytes += 64)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      acc[0][r] = _mm512_dpbusd_epi32(acc[0][r], _mm512_set1_epi32(x[r * p.x_stride + i]), _mm512_loadu_si512(bytes));
  const Scaling scaling = scaling_of(p, panel);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int u = 1; u < U; ++u) acc[0][r] = _mm512_add_epi32(acc[0][r], acc[u][r]);
    store_sum(scaling, acc[0][r], p.x_scale[r], out_of(p, r, panel));
  }
}

using StreamFunction = void (*)(const LinearProblem&, int64_t);
const StreamFunction kStreams[kRowsLimit] = {stream_panel<1, 8>, stream_panel<2, 4>, stream_panel<3, 4>,
                                             stream_panel<4, 2>, stream_panel<5, 2>, stream_panel<6, 2>,
                                             stream_panel<7, 2>, stream_panel<8, 2>};

void run_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  for (int64_t panel = panel_begin; panel < panel_end; ++panel) kStreams[p.m - 1](p, panel);
}

// One tile of R rows against P adjacent panels over the whole of k: sums must stay integers to the end.
template <int R, int P>
void tile_panels(const LinearProblem& p, int64_t row, int64_t panel) {
  __m512i acc[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int q = 0; q < P; ++q) acc[r][q] = _mm512_setzero_si512();
  const int64_t words = ceil_div(p.k, 4);
  const int32_t* a = static_cast<const int32_t*>(p.x) + row * words;
  const char* b0 = panel_of(p, panel);
  const char* b1 = b0 + panel_bytes_int8_w8a8(p.k);
  for (int64_t i = 0; i < words; ++i) {
    __m512i b[P];
    b[0] = _mm512_loadu_si512(b0 + i * 64);
    if (P == 2) b[P - 1] = _mm512_loadu_si512(b1 + i * 64);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512i value = _mm512_set1_epi32(a[r]);
#pragma GCC unroll 2
      for (int q = 0; q < P; ++q) acc[r][q] = _mm512_dpbusd_epi32(acc[r][q], value, b[q]);
    }
    a += R;
  }
  const int64_t rows = p.m - row < R ? p.m - row : R;
#pragma GCC unroll 2
  for (int q = 0; q < P; ++q) {
    const Scaling scaling = scaling_of(p, panel + q);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      if (r < rows) store_sum(scaling, acc[r][q], p.x_scale[row + r], out_of(p, row + r, panel + q));
  }
}

using TileFunction = void (*)(const LinearProblem&, int64_t, int64_t);
#define ESP_TILE_ROW(R) \
  { tile_panels<R, 1>, tile_panels<R, 2> }
const TileFunction kTiles[kTileRows][2] = {ESP_TILE_ROW(1),  ESP_TILE_ROW(2),  ESP_TILE_ROW(3),  ESP_TILE_ROW(4),
                                           ESP_TILE_ROW(5),  ESP_TILE_ROW(6),  ESP_TILE_ROW(7),  ESP_TILE_ROW(8),
                                           ESP_TILE_ROW(9),  ESP_TILE_ROW(10), ESP_TILE_ROW(11), ESP_TILE_ROW(12),
                                           ESP_TILE_ROW(13), ESP_TILE_ROW(14)};

void run_tiles(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, int64_t panel_begin, int64_t panel_end,
               void*) {
  for (int64_t panel = panel_begin; panel < panel_end; panel += 2) {
    const TileFunction tile = kTiles[p.tile_rows - 1][panel + 1 < panel_end];
    for (int64_t index = tile_begin; index < tile_end; ++index) tile(p, index * p.tile_rows, panel);
  }
}

}  // namespace

const LinearKernel matmul_int8_int8_avx512 = {"matmul_int8_int8_avx512", &stage_uint8_avx512, run_rows,  kRowsLimit,
                                              &stage_uint8_avx512,       run_tiles,           kTileRows, nullptr};

}  // namespace espalier
