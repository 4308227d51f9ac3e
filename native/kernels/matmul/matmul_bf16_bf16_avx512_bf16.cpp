// matmul_bf16_bf16_avx512_bf16: vdpbf16ps over pairs of k.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/interleave_avx512.h"
#include "kernels/matmul/linear_kernel.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

constexpr int64_t kRowsLimit = 8;
constexpr int64_t kTileRows = 14;
constexpr int64_t kPrefetchBytes = 2048;
constexpr int64_t kBlockWords = 256;  // depth of a block: 32 columns of weights fit in half of L1
constexpr int64_t kChunk = 256;

__m512bh pair_of(uint32_t word) { return (__m512bh)_mm512_set1_epi32(static_cast<int>(word)); }
__m512bh load_pairs(const char* bytes) { return (__m512bh)_mm512_loadu_si512(bytes); }

const char* panel_of(const LinearProblem& p, int64_t index) {
  return static_cast<const char*>(p.weight) + index * panel_bytes_bf16(p.k);
}

Epilogue panel_epilogue(const LinearProblem& p, int64_t panel, bool first) {
  const int64_t column = panel * kPanel;
  return epilogue_of(nullptr, first && p.bias != nullptr ? p.bias + column : nullptr, p.n - column, 0,
                     p.accumulate || !first);
}

float* out_of(const LinearProblem& p, int64_t row, int64_t panel) {
  return p.out + (row - p.out_row) * p.ldo + (panel - p.out_panel) * kPanel;
}

// R rows of x against one panel, U words of k in flight.
template <int R, int U>
void stream_panel(const LinearProblem& p, int64_t panel) {
  __m512 acc[U][R];
#pragma GCC unroll 8
  for (int u = 0; u < U; ++u)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) acc[u][r] = _mm512_setzero_ps();
  const uint32_t* x = static_cast<const uint32_t*>(p.x);
  const char* bytes = panel_of(p, panel);
  const int64_t words = ceil_div(p.k, 2);
  int64_t i = 0;
  for (; i + U <= words; i += U) {
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) {
      _mm_prefetch(bytes + kPrefetchBytes + u * 64, _MM_HINT_T0);
      const __m512bh w = load_pairs(bytes + u * 64);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) acc[u][r] = _mm512_dpbf16_ps(acc[u][r], pair_of(x[r * p.x_stride + i + u]), w);
    }
    bytes += U * 64;
  }
  for (; i < words; ++i, bytes += 64)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      acc[0][r] = _mm512_dpbf16_ps(acc[0][r], pair_of(x[r * p.x_stride + i]), load_pairs(bytes));
  const Epilogue epilogue = panel_epilogue(p, panel, true);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int u = 1; u < U; ++u) acc[0][r] = _mm512_add_ps(acc[0][r], acc[u][r]);
    store(epilogue, out_of(p, r, panel), acc[0][r]);
  }
}

using StreamFunction = void (*)(const LinearProblem&, int64_t);
const StreamFunction kStreams[kRowsLimit] = {stream_panel<1, 8>, stream_panel<2, 4>, stream_panel<3, 4>,
                                             stream_panel<4, 2>, stream_panel<5, 2>, stream_panel<6, 2>,
                                             stream_panel<7, 2>, stream_panel<8, 2>};

void run_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  for (int64_t panel = panel_begin; panel < panel_end; ++panel) kStreams[p.m - 1](p, panel);
}

// One tile of R rows against P adjacent panels, words [word, word_end) of k.
template <int R, int P>
void tile_panels(const LinearProblem& p, int64_t row, int64_t panel, int64_t word, int64_t word_end) {
  __m512 acc[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int q = 0; q < P; ++q) acc[r][q] = _mm512_setzero_ps();
  const uint32_t* a = static_cast<const uint32_t*>(p.x) + (row * ceil_div(p.k, 2) + word * R);
  const char* b0 = panel_of(p, panel);
  const char* b1 = b0 + panel_bytes_bf16(p.k);
  for (int64_t i = word; i < word_end; ++i) {
    __m512bh b[P];
    b[0] = load_pairs(b0 + i * 64);
    if (P == 2) b[P - 1] = load_pairs(b1 + i * 64);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512bh value = pair_of(a[r]);
#pragma GCC unroll 2
      for (int q = 0; q < P; ++q) acc[r][q] = _mm512_dpbf16_ps(acc[r][q], value, b[q]);
    }
    a += R;
  }
  const int64_t rows = p.m - row < R ? p.m - row : R;
#pragma GCC unroll 2
  for (int q = 0; q < P; ++q) {
    const Epilogue epilogue = panel_epilogue(p, panel + q, word == 0);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      if (r < rows) store(epilogue, out_of(p, row + r, panel + q), acc[r][q]);
  }
}

using TileFunction = void (*)(const LinearProblem&, int64_t, int64_t, int64_t, int64_t);
#define ESP_TILE_ROW(R) \
  { tile_panels<R, 1>, tile_panels<R, 2> }
const TileFunction kTiles[kTileRows][2] = {ESP_TILE_ROW(1),  ESP_TILE_ROW(2),  ESP_TILE_ROW(3),  ESP_TILE_ROW(4),
                                           ESP_TILE_ROW(5),  ESP_TILE_ROW(6),  ESP_TILE_ROW(7),  ESP_TILE_ROW(8),
                                           ESP_TILE_ROW(9),  ESP_TILE_ROW(10), ESP_TILE_ROW(11), ESP_TILE_ROW(12),
                                           ESP_TILE_ROW(13), ESP_TILE_ROW(14)};

void run_tiles(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, int64_t panel_begin, int64_t panel_end,
               void*) {
  const int64_t words = ceil_div(p.k, 2);
  for (int64_t word = 0; word < words; word += kBlockWords) {
    const int64_t word_end = word + kBlockWords < words ? word + kBlockWords : words;
    for (int64_t panel = panel_begin; panel < panel_end; panel += 2) {
      const TileFunction tile = kTiles[p.tile_rows - 1][panel + 1 < panel_end];
      for (int64_t index = tile_begin; index < tile_end; ++index) tile(p, index * p.tile_rows, panel, word, word_end);
    }
  }
}

// x [count] -> ceil(count / 2) words of two bf16, the last padded with zero.
void round_row(const float* x, int64_t count, uint32_t* out) {
  for (int64_t i = 0; i < count; i += 16) {
    const __m256i pairs = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes(count - i), x + i));
    _mm256_mask_storeu_epi32(out + i / 2, static_cast<__mmask8>(lanes((count - i + 1) / 2)), pairs);
  }
}

void run_stage(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*) {
  if (tile_rows == 1) return round_row(x, k, words);
  alignas(64) uint32_t chunk[16 * kChunk];
  for (int64_t i = 0; i < k; i += 2 * kChunk) {
    const int64_t count = k - i < 2 * kChunk ? k - i : 2 * kChunk;
    for (int64_t row = 0; row < rows; ++row) round_row(x + row * ldx + i, count, chunk + row * kChunk);
    interleave_rows(chunk, kChunk, rows, (count + 1) / 2, tile_rows, words + i / 2 * tile_rows);
  }
}

}  // namespace

const ActivationStage stage_bf16_avx512_bf16 = {2, run_stage};

const LinearKernel matmul_bf16_bf16_avx512_bf16 = {"matmul_bf16_bf16_avx512_bf16",
                                                   &stage_bf16_avx512_bf16,
                                                   run_rows,
                                                   kRowsLimit,
                                                   &stage_bf16_avx512_bf16,
                                                   run_tiles,
                                                   kTileRows,
                                                   nullptr};

}  // namespace espalier
