// The loops that f32, f16, bf16 (as f32) and int8 weight-only kernels share on AVX2. A Weights type says how one step
// of a packed panel becomes f32 vectors:
//   kStep, kStepBytes            values of k per step (2 for bf16 pairs), and their bytes
//   panel(problem, index)        first byte of a panel
//   load(bytes, vectors)         [kStep][2] vectors of 8 columns
//   scale(problem, panel)        scales of the panel's columns, or nullptr
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/epilogue_avx2.h"
#include "kernels/matmul/f32_tile.h"
#include "kernels/matmul/linear_kernel.h"
#include "kernels/matmul/stream_fetch.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

constexpr int64_t kRowsLimit = 6;  // m that the streaming kernels take
constexpr int64_t kBlockK = 384;   // depth of a block of weights: 16 columns are 24 KiB

inline float* out_of(const LinearProblem& p, int64_t row, int64_t panel) {
  return p.out + (row - p.out_row) * p.ldo + (panel - p.out_panel) * kPanel;
}

// Adds one value of k of R rows against P panels; w: two vectors of each panel, kStep * 2 apart.
template <int R, int P, int kStep>
inline void add_value(const float* x, int64_t stride, const __m256 (&w)[P][2 * kStep], int s, __m256 (&acc)[P][R][2]) {
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const __m256 value = _mm256_broadcast_ss(x + r * stride);
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) {
      acc[q][r][0] = _mm256_fmadd_ps(value, w[q][2 * s], acc[q][r][0]);
      acc[q][r][1] = _mm256_fmadd_ps(value, w[q][2 * s + 1], acc[q][r][1]);
    }
  }
}

// R rows of x against P adjacent panels, U steps of k in flight.
template <typename Weights, int R, int P, int U>
void stream_panels(const LinearProblem& p, int64_t panel) {
  constexpr int kStep = Weights::kStep;
  constexpr int kBytes = Weights::kStepBytes;
  __m256 acc[U][P][R][2];
#pragma GCC unroll 4
  for (int u = 0; u < U; ++u)
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) acc[u][q][r][0] = acc[u][q][r][1] = _mm256_setzero_ps();
  const float* x = static_cast<const float*>(p.x);
  const char* bytes = Weights::panel(p, panel);
  const int64_t apart = Weights::panel(p, panel + 1) - bytes;
  int64_t k = 0;
  for (; k + kStep * U <= p.k; k += kStep * U) {
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) fetch<U * kBytes, P>(bytes + q * apart);
#pragma GCC unroll 4
    for (int u = 0; u < U; ++u) {
      __m256 w[P][2 * kStep];
#pragma GCC unroll 4
      for (int q = 0; q < P; ++q) Weights::load(bytes + q * apart + u * kBytes, w[q]);
#pragma GCC unroll 2
      for (int s = 0; s < kStep; ++s) add_value<R, P, kStep>(x + k + u * kStep + s, p.x_stride, w, s, acc[u]);
    }
    bytes += U * kBytes;
  }
  for (; k < p.k; k += kStep) {
    __m256 w[P][2 * kStep];
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) Weights::load(bytes + q * apart, w[q]);
#pragma GCC unroll 2
    for (int s = 0; s < kStep; ++s)
      if (k + s < p.k) add_value<R, P, kStep>(x + k + s, p.x_stride, w, s, acc[0]);
    bytes += kBytes;
  }
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) {
    const int64_t column = (panel + q) * kPanel;
    const Epilogue epilogue = epilogue_of(Weights::scale(p, panel + q), p.bias != nullptr ? p.bias + column : nullptr,
                                          p.n - column, p.accumulate);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) {
#pragma GCC unroll 4
        for (int u = 1; u < U; ++u) acc[0][q][r][half] = _mm256_add_ps(acc[0][q][r][half], acc[u][q][r][half]);
        store(epilogue, out_of(p, r, panel + q), half, acc[0][q][r][half]);
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
  static const Stream kStreams[kRowsLimit] = {{4, stream_panels<Weights, 1, 4, 1>, stream_panels<Weights, 1, 1, 4>},
                                              {2, stream_panels<Weights, 2, 2, 1>, stream_panels<Weights, 2, 1, 2>},
                                              {2, stream_panels<Weights, 3, 2, 1>, stream_panels<Weights, 3, 1, 2>},
                                              {1, stream_panels<Weights, 4, 1, 1>, stream_panels<Weights, 4, 1, 1>},
                                              {1, stream_panels<Weights, 5, 1, 1>, stream_panels<Weights, 5, 1, 1>},
                                              {1, stream_panels<Weights, 6, 1, 1>, stream_panels<Weights, 6, 1, 1>}};
  const Stream& stream = kStreams[p.m - 1];
  int64_t panel = panel_begin;
  for (; panel + stream.panels <= panel_end; panel += stream.panels) stream.several(p, panel);
  for (; panel < panel_end; ++panel) stream.one(p, panel);
}

// `count` values of k of a panel, from k on, as f32 [count][16].
template <typename Weights>
void unpack_block(const LinearProblem& p, int64_t panel, int64_t k, int64_t count, float* out) {
  const char* bytes = Weights::panel(p, panel) + k / Weights::kStep * Weights::kStepBytes;
  for (int64_t i = 0; i < count; i += Weights::kStep) {
    __m256 w[2 * Weights::kStep];
    Weights::load(bytes, w);
    for (int v = 0; v < 2 * Weights::kStep; ++v) _mm256_storeu_ps(out + i * kPanel + v * 8, w[v]);
    bytes += Weights::kStepBytes;
  }
}

// The unpacked block, then the partial sums.
inline size_t float_scratch_bytes(int64_t, int64_t rows, int64_t panels) {
  return (1 * kBlockK + rows * round_up(panels, 1)) * kPanel * sizeof(float);
}

// What run_tiles walks over: blocks of kBlockK values of k by one panel.
struct BlockPlace {
  int64_t k;
  int64_t panel;
};

inline BlockPlace block_after(BlockPlace place, int64_t panel_begin, int64_t panel_end) {
  if (place.panel + 1 < panel_end) return {place.k, place.panel + 1};
  return {place.k + kBlockK, panel_begin};
}

// Points next_b at the block after this one: the caches' own prefetchers restart at every page and would leave the
// first pass over each block waiting for memory.
template <typename Weights>
void set_next(const LinearProblem& p, BlockPlace next, int64_t panel_end, F32Tile* tile) {
  const int64_t k = next.k < p.k ? next.k : 0;
  for (int64_t i = 0; i < 1; ++i) {
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
    tile->partial = partial + ((index - tile_begin) * parts + part) * p.tile_rows * 1 * kPanel;
    f32_tile_avx2(*tile);
    left -= lines * fetches * 64;
    for (const char*& next : tile->next_b) next += lines * fetches * 64;
  }
}

// Sets b0 to the block's weights: in place for f32, unpacked into `block` otherwise.
template <typename Weights>
void set_panels(const LinearProblem& p, BlockPlace place, bool, float* block, F32Tile* tile) {
  if (Weights::kIsF32) {
    tile->b0 = reinterpret_cast<const float*>(Weights::panel(p, place.panel)) + place.k * kPanel;
    return;
  }
  unpack_block<Weights>(p, place.panel, place.k, tile->k, block);
  tile->b0 = block;
}

template <typename Weights>
void run_tiles(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, int64_t panel_begin, int64_t panel_end,
               void* scratch) {
  float* block = static_cast<float*>(scratch);
  float* partial = block + 1 * kBlockK * kPanel;
  F32Tile tile{};
  tile.tile_rows = p.tile_rows;
  tile.ldo = p.ldo;
  tile.accumulate = p.accumulate;
  const int64_t parts = ceil_div(panel_end - panel_begin, 1);
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
    tile.columns = p.n - column < 1 * kPanel ? p.n - column : 1 * kPanel;
    run_block(p, tile_begin, tile_end, place, (place.panel - panel_begin) / 1, parts,
              tile.k / Weights::kStep * Weights::kStepBytes, partial, &tile);
    place = next;
  }
}

}  // namespace
}  // namespace espalier
