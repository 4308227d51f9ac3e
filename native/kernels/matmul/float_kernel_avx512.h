// The loops that f32, f16, bf16 (as f32) and int8 weight-only kernels share on AVX-512. A Weights type says how one
// step of a packed panel becomes f32 vectors:
//   kStep                        values of k per step (2 for bf16 pairs)
//   panel(problem, index)        first byte of a panel
//   kStepBytes                   bytes of a step
//   load(bytes, vectors)         kStep vectors of 16 columns
//   scale(problem, panel)        scales of the panel's columns, or nullptr
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/epilogue_avx512.h"
#include "kernels/matmul/f32_tile.h"
#include "kernels/matmul/linear_kernel.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

constexpr int64_t kRowsLimit = 8;         // m that the streaming kernels take
constexpr int64_t kBlockK = 256;          // a 32-column block of weights this deep fits in half of L1
constexpr int64_t kPrefetchBytes = 2048;  // how far ahead of the weights in use

inline float* out_of(const LinearProblem& p, int64_t row, int64_t panel) {
  return p.out + (row - p.out_row) * p.ldo + (panel - p.out_panel) * kPanel;
}

// R rows of x against one panel, U steps of k in flight.
template <typename Weights, int R, int U>
void stream_panel(const LinearProblem& p, int64_t panel) {
  constexpr int kStep = Weights::kStep;
  __m512 acc[U][R];
#pragma GCC unroll 8
  for (int u = 0; u < U; ++u)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) acc[u][r] = _mm512_setzero_ps();
  const float* x = static_cast<const float*>(p.x);
  const char* bytes = Weights::panel(p, panel);
  const int64_t whole = p.k / (kStep * U) * (kStep * U);
  int64_t k = 0;
  for (; k < whole; k += kStep * U) {
#pragma GCC unroll 4
    for (int line = 0; line < U * Weights::kStepBytes; line += 64)
      _mm_prefetch(bytes + kPrefetchBytes + line, _MM_HINT_T0);
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) {
      __m512 w[kStep];
      Weights::load(bytes + u * Weights::kStepBytes, w);
#pragma GCC unroll 2
      for (int s = 0; s < kStep; ++s)
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r)
          acc[u][r] = _mm512_fmadd_ps(_mm512_set1_ps(x[r * p.x_stride + k + u * kStep + s]), w[s], acc[u][r]);
    }
    bytes += U * Weights::kStepBytes;
  }
  for (; k < p.k; k += kStep) {
    __m512 w[kStep];
    Weights::load(bytes, w);
    for (int s = 0; s < kStep && k + s < p.k; ++s)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r)
        acc[0][r] = _mm512_fmadd_ps(_mm512_set1_ps(x[r * p.x_stride + k + s]), w[s], acc[0][r]);
    bytes += Weights::kStepBytes;
  }
  const int64_t column = panel * kPanel;
  const Epilogue epilogue = epilogue_of(Weights::scale(p, panel), p.bias != nullptr ? p.bias + column : nullptr,
                                        p.n - column, 0, p.accumulate);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
    for (int u = 1; u < U; ++u) acc[0][r] = _mm512_add_ps(acc[0][r], acc[u][r]);
    store(epilogue, out_of(p, r, panel), acc[0][r]);
  }
}

template <typename Weights>
void run_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  using StreamFunction = void (*)(const LinearProblem&, int64_t);
  static const StreamFunction kStreams[kRowsLimit] = {stream_panel<Weights, 1, 8>, stream_panel<Weights, 2, 4>,
                                                      stream_panel<Weights, 3, 4>, stream_panel<Weights, 4, 2>,
                                                      stream_panel<Weights, 5, 2>, stream_panel<Weights, 6, 2>,
                                                      stream_panel<Weights, 7, 2>, stream_panel<Weights, 8, 2>};
  for (int64_t panel = panel_begin; panel < panel_end; ++panel) kStreams[p.m - 1](p, panel);
}

// kBlockK steps of a panel as f32 [count][16].
template <typename Weights>
void unpack_block(const LinearProblem& p, int64_t panel, int64_t k, int64_t count, float* out) {
  const char* bytes = Weights::panel(p, panel) + k / Weights::kStep * Weights::kStepBytes;
  for (int64_t i = 0; i < count; i += Weights::kStep) {
    __m512 w[Weights::kStep];
    Weights::load(bytes, w);
    for (int s = 0; s < Weights::kStep; ++s) _mm512_store_ps(out + (i + s) * kPanel, w[s]);
    bytes += Weights::kStepBytes;
  }
}

inline size_t float_scratch_bytes(int64_t) { return 2 * kBlockK * kPanel * sizeof(float); }

// One block of weights against every tile of the range.
inline void run_block(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, int64_t k, F32Tile* tile,
                      int64_t panel) {
  for (int64_t index = tile_begin; index < tile_end; ++index) {
    const int64_t row = index * p.tile_rows;
    tile->a = static_cast<const float*>(p.x) + (row * p.k + k * p.tile_rows);
    tile->rows = p.m - row < p.tile_rows ? p.m - row : p.tile_rows;
    tile->out = out_of(p, row, panel);
    f32_tile_avx512(*tile);
  }
}

// Sets b0 and b1 to the block [k, k + tile->k) of two panels: in place for f32, unpacked into `block` otherwise.
template <typename Weights>
void set_panels(const LinearProblem& p, int64_t panel, bool pair, int64_t k, float* block, F32Tile* tile) {
  if (Weights::kIsF32) {
    tile->b0 = reinterpret_cast<const float*>(Weights::panel(p, panel)) + k * kPanel;
    tile->b1 = pair ? reinterpret_cast<const float*>(Weights::panel(p, panel + 1)) + k * kPanel : nullptr;
    return;
  }
  unpack_block<Weights>(p, panel, k, tile->k, block);
  if (pair) unpack_block<Weights>(p, panel + 1, k, tile->k, block + kBlockK * kPanel);
  tile->b0 = block;
  tile->b1 = pair ? block + kBlockK * kPanel : nullptr;
}

template <typename Weights>
void run_tiles(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, int64_t panel_begin, int64_t panel_end,
               void* scratch) {
  F32Tile tile{};
  tile.tile_rows = p.tile_rows;
  tile.ldo = p.ldo;
  for (int64_t k = 0; k < p.k; k += kBlockK) {
    tile.k = p.k - k < kBlockK ? p.k - k : kBlockK;
    tile.accumulate = p.accumulate || k > 0;
    for (int64_t panel = panel_begin; panel < panel_end; panel += 2) {
      set_panels<Weights>(p, panel, panel + 1 < panel_end, k, static_cast<float*>(scratch), &tile);
      const int64_t column = panel * kPanel;
      tile.scale = Weights::scale(p, panel);
      tile.bias = k == 0 && p.bias != nullptr ? p.bias + column : nullptr;
      tile.columns = p.n - column < 2 * kPanel ? p.n - column : 2 * kPanel;
      run_block(p, tile_begin, tile_end, k, &tile, panel);
    }
  }
}

}  // namespace
}  // namespace espalier
