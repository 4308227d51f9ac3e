// The blocked loops over f32 tiles that every float kernel shares on AVX2. A Blocks type says how a block of a packed
// panel becomes f32:
//   kInPlace                            it is f32 already
//   at(problem, panel, k)               where its bytes of column k are; k a multiple of kBlockK
//   unpack(problem, panel, k, count, out)   columns [k, k + count) -> out [count][16], 64-byte aligned; may write the
//                                       rest of 32 columns
//   scale(problem, panel)               scales of the panel's columns, or nullptr
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/epilogue_avx2.h"
#include "kernels/matmul/f32_tile.h"
#include "kernels/matmul/linear_kernel.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

constexpr int64_t kBlockK = 384;  // depth of a block of weights: 16 columns are 24 KiB

inline float* out_of(const LinearProblem& p, int64_t row, int64_t panel) {
  return p.out + (row - p.out_row) * p.ldo + (panel - p.out_panel) * kPanel;
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
template <typename Blocks>
void set_next(const LinearProblem& p, BlockPlace next, int64_t panel_end, F32Tile* tile) {
  const int64_t k = next.k < p.k ? next.k : 0;
  for (int64_t i = 0; i < 1; ++i) {
    const int64_t panel = next.panel + i < panel_end ? next.panel + i : next.panel;
    tile->next_b[i] = Blocks::at(p, panel, k);
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
template <typename Blocks>
void set_panels(const LinearProblem& p, BlockPlace place, bool, float* block, F32Tile* tile) {
  if (Blocks::kInPlace) {
    tile->b0 = reinterpret_cast<const float*>(Blocks::at(p, place.panel, place.k));
    return;
  }
  Blocks::unpack(p, place.panel, place.k, tile->k, block);
  tile->b0 = block;
}

template <typename Blocks>
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
    set_panels<Blocks>(p, place, place.panel + 1 < panel_end, block, &tile);
    set_next<Blocks>(p, next, panel_end, &tile);
    const int64_t column = place.panel * kPanel;
    tile.scale = Blocks::scale(p, place.panel);
    tile.bias = p.bias != nullptr ? p.bias + column : nullptr;
    tile.columns = p.n - column < 1 * kPanel ? p.n - column : 1 * kPanel;
    run_block(p, tile_begin, tile_end, place, (place.panel - panel_begin) / 1, parts,
              Blocks::at(p, place.panel, place.k + tile.k) - Blocks::at(p, place.panel, place.k), partial, &tile);
    place = next;
  }
}

}  // namespace
}  // namespace espalier
