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
#include "kernels/matmul/stream_fetch.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

constexpr int64_t kRowsLimit = 8;  // m that the streaming kernels take
constexpr int64_t kBlockK = 256;   // depth of a block of weights: 32 columns are 32 KiB and stay in L1

inline float* out_of(const LinearProblem& p, int64_t row, int64_t panel) {
  return p.out + (row - p.out_row) * p.ldo + (panel - p.out_panel) * kPanel;
}

// Adds kStep values of k of R rows against P panels.
template <int R, int P, int kStep>
inline void add_step(const float* x, int64_t stride, int64_t count, const __m512 (&w)[P][kStep], __m512 (&acc)[P][R]) {
#pragma GCC unroll 2
  for (int s = 0; s < kStep && s < count; ++s)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 value = _mm512_set1_ps(x[r * stride + s]);
#pragma GCC unroll 4
      for (int q = 0; q < P; ++q) acc[q][r] = _mm512_fmadd_ps(value, w[q][s], acc[q][r]);
    }
}

// R rows of x against P adjacent panels, U steps of k in flight.
template <typename Weights, int R, int P, int U>
void stream_panels(const LinearProblem& p, int64_t panel) {
  constexpr int kStep = Weights::kStep;
  constexpr int kBytes = Weights::kStepBytes;
  __m512 acc[U][P][R];
#pragma GCC unroll 8
  for (int u = 0; u < U; ++u)
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) acc[u][q][r] = _mm512_setzero_ps();
  const float* x = static_cast<const float*>(p.x);
  const char* bytes = Weights::panel(p, panel);
  const int64_t apart = Weights::panel(p, panel + 1) - bytes;
  int64_t k = 0;
  for (; k + kStep * U <= p.k; k += kStep * U) {
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) fetch<U * kBytes, P>(bytes + q * apart);
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) {
      __m512 w[P][kStep];
#pragma GCC unroll 4
      for (int q = 0; q < P; ++q) Weights::load(bytes + q * apart + u * kBytes, w[q]);
      add_step<R, P, kStep>(x + k + u * kStep, p.x_stride, kStep, w, acc[u]);
    }
    bytes += U * kBytes;
  }
  for (; k < p.k; k += kStep) {
    __m512 w[P][kStep];
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) Weights::load(bytes + q * apart, w[q]);
    add_step<R, P, kStep>(x + k, p.x_stride, p.k - k, w, acc[0]);
    bytes += kBytes;
  }
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) {
    const int64_t column = (panel + q) * kPanel;
    const Epilogue epilogue = epilogue_of(Weights::scale(p, panel + q), p.bias != nullptr ? p.bias + column : nullptr,
                                          p.n - column, 0, p.accumulate);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int u = 1; u < U; ++u) acc[0][q][r] = _mm512_add_ps(acc[0][q][r], acc[u][q][r]);
      store(epilogue, out_of(p, r, panel + q), acc[0][q][r]);
    }
  }
}

// Several panels at once where registers allow: each is a stream of its own to the prefetchers.
template <typename Weights>
void run_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  struct Stream {
    int64_t panels;
    void (*several)(const LinearProblem&, int64_t);
    void (*one)(const LinearProblem&, int64_t);
  };
  static const Stream kStreams[kRowsLimit] = {{4, stream_panels<Weights, 1, 4, 2>, stream_panels<Weights, 1, 1, 8>},
                                              {4, stream_panels<Weights, 2, 4, 1>, stream_panels<Weights, 2, 1, 4>},
                                              {4, stream_panels<Weights, 3, 4, 1>, stream_panels<Weights, 3, 1, 4>},
                                              {4, stream_panels<Weights, 4, 4, 1>, stream_panels<Weights, 4, 1, 2>},
                                              {4, stream_panels<Weights, 5, 4, 1>, stream_panels<Weights, 5, 1, 2>},
                                              {4, stream_panels<Weights, 6, 4, 1>, stream_panels<Weights, 6, 1, 2>},
                                              {2, stream_panels<Weights, 7, 2, 1>, stream_panels<Weights, 7, 1, 2>},
                                              {2, stream_panels<Weights, 8, 2, 1>, stream_panels<Weights, 8, 1, 2>}};
  const Stream& stream = kStreams[p.m - 1];
  int64_t panel = panel_begin;
  for (; panel + stream.panels <= panel_end; panel += stream.panels) stream.several(p, panel);
  for (; panel < panel_end; ++panel) stream.one(p, panel);
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

// The unpacked block, then the partial sums.
inline size_t float_scratch_bytes(int64_t, int64_t rows, int64_t panels) {
  return (2 * kBlockK + rows * round_up(panels, 2)) * kPanel * sizeof(float);
}

// What run_tiles walks over: blocks of kBlockK values of k by a pair of panels.
struct BlockPlace {
  int64_t k;
  int64_t panel;
};

inline BlockPlace block_after(BlockPlace place, int64_t panel_begin, int64_t panel_end) {
  if (place.panel + 2 < panel_end) return {place.k, place.panel + 2};
  return {place.k + kBlockK, panel_begin};
}

// Points next_b at the block after this one: the caches' own prefetchers restart at every page and would leave the
// first pass over each block waiting for memory.
template <typename Weights>
void set_next(const LinearProblem& p, BlockPlace next, int64_t panel_end, F32Tile* tile) {
  const int64_t k = next.k < p.k ? next.k : 0;
  for (int64_t i = 0; i < 2; ++i) {
    const int64_t panel = next.panel + i < panel_end ? next.panel + i : next.panel;
    tile->next_b[i] = Weights::panel(p, panel) + k / Weights::kStep * Weights::kStepBytes;
  }
}

// One block of weights against every tile of the range, while the next block of weights and the `part`th of `parts` of
// the tiles' next block of x are fetched. `block_bytes`: of one panel of a block.
inline void run_block(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, BlockPlace place, int64_t part,
                      int64_t parts, int64_t block_bytes, float* partial, F32Tile* tile) {
  const int64_t fetches = tile->k / kTileFetchSteps;
  const int64_t lines = ceil_div(block_bytes, 64 * (fetches > 0 ? fetches : 1) * (tile_end - tile_begin));
  int64_t left = block_bytes;
  for (int64_t index = tile_begin; index < tile_end; ++index) {
    const int64_t row = index * p.tile_rows;
    tile->a = static_cast<const float*>(p.x) + (row * p.k + place.k * p.tile_rows);
    tile->rows = p.m - row < p.tile_rows ? p.m - row : p.tile_rows;
    tile->out = out_of(p, row, place.panel);
    tile->next_a = reinterpret_cast<const char*>(tile->a + tile->k * p.tile_rows * (parts + part) / parts);
    tile->next_lines = left > 0 ? lines : 0;
    tile->partial = partial + ((index - tile_begin) * parts + part) * p.tile_rows * 2 * kPanel;
    f32_tile_avx512(*tile);
    left -= lines * fetches * 64;
    for (const char*& next : tile->next_b) next += lines * fetches * 64;
  }
}

// Sets b0 and b1 to the block's weights: in place for f32, unpacked into `block` otherwise.
template <typename Weights>
void set_panels(const LinearProblem& p, BlockPlace place, bool pair, float* block, F32Tile* tile) {
  if (Weights::kIsF32) {
    tile->b0 = reinterpret_cast<const float*>(Weights::panel(p, place.panel)) + place.k * kPanel;
    tile->b1 = pair ? reinterpret_cast<const float*>(Weights::panel(p, place.panel + 1)) + place.k * kPanel : nullptr;
    return;
  }
  unpack_block<Weights>(p, place.panel, place.k, tile->k, block);
  if (pair) unpack_block<Weights>(p, place.panel + 1, place.k, tile->k, block + kBlockK * kPanel);
  tile->b0 = block;
  tile->b1 = pair ? block + kBlockK * kPanel : nullptr;
}

template <typename Weights>
void run_tiles(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, int64_t panel_begin, int64_t panel_end,
               void* scratch) {
  float* block = static_cast<float*>(scratch);
  float* partial = block + 2 * kBlockK * kPanel;
  F32Tile tile{};
  tile.tile_rows = p.tile_rows;
  tile.ldo = p.ldo;
  tile.accumulate = p.accumulate;
  const int64_t parts = ceil_div(panel_end - panel_begin, 2);
  BlockPlace place{0, panel_begin};
  while (place.k < p.k) {
    const BlockPlace next = block_after(place, panel_begin, panel_end);
    tile.k = p.k - place.k < kBlockK ? p.k - place.k : kBlockK;
    tile.first = place.k == 0;
    tile.last = place.k + tile.k == p.k;
    set_panels<Weights>(p, place, place.panel + 1 < panel_end, block, &tile);
    set_next<Weights>(p, next, panel_end, &tile);
    const int64_t column = place.panel * kPanel;
    tile.scale = Weights::scale(p, place.panel);
    tile.bias = p.bias != nullptr ? p.bias + column : nullptr;
    tile.columns = p.n - column < 2 * kPanel ? p.n - column : 2 * kPanel;
    run_block(p, tile_begin, tile_end, place, (place.panel - panel_begin) / 2, parts,
              tile.k / Weights::kStep * Weights::kStepBytes, partial, &tile);
    place = next;
  }
}

}  // namespace
}  // namespace espalier
