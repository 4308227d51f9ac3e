// Many rows against grouped codes (quant/grouped_layout.h) on AVX2: blocks of weights become pairs of int16, met with
// rows of 16-bit integers in groups of 32 (stage_int16_groups_avx2). Sums of 32 products are exact. A Words type:
//   kBits, kZeros, kUnit                  value = word / kUnit
//   unpack32(codes, half, out)            32 columns of 8 rows -> out [16] pairs, ordered as the stage orders x
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/epilogue_avx2.h"
#include "kernels/matmul/linear_kernel.h"
#include "kernels/matmul/table4_planes.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

constexpr int64_t kTileRows = 5;       // 5 x 16: 10 accumulators, 2 weight vectors, 1 broadcast, products
constexpr int64_t kTileBlocks = 8;     // groups of 32 columns of a block of weights: 16 rows of it are 9 KiB
constexpr int64_t kPairsOfBlock = 16;  // pairs of a group of 32

// 32 columns of a panel, in halves of 8 rows.
struct WeightBlock {
  __m256i pairs[2][kPairsOfBlock];
  __m256 scale[2], zero[2];
};

// One tile of x against `blocks` blocks of a panel. Sums start from `partial` unless `first`, and end there unless
// `last`.
struct GroupedTile {
  const uint32_t* x;  // [blocks][kInt16GroupWords][tile_rows]
  const WeightBlock* weights;
  int64_t blocks;
  float* partial;    // [tile_rows][16]
  const char* next;  // what later tiles read: next_lines are fetched for every block
  int64_t next_lines;
  bool first, last;
};

// A pair of x in every lane.
inline __m256i broadcast_pair(const uint32_t* x) { return _mm256_set1_epi32(static_cast<int>(*x)); }
inline __m256 broadcast_float(const uint32_t* x) { return _mm256_castsi256_ps(broadcast_pair(x)); }

// Adds one block to the sums.
template <bool kZeros, int R>
inline void add_block(const uint32_t* x, const WeightBlock& weights, float* sums) {
  __m256i dots[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) dots[r][0] = dots[r][1] = _mm256_setzero_si256();
  const uint32_t* pairs = x + 2 * R;
  for (int i = 0; i < kPairsOfBlock; ++i, pairs += R) {
    const __m256i low = weights.pairs[0][i], high = weights.pairs[1][i];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m256i value = broadcast_pair(pairs + r);
      dots[r][0] = _mm256_add_epi32(dots[r][0], _mm256_madd_epi16(low, value));
      dots[r][1] = _mm256_add_epi32(dots[r][1], _mm256_madd_epi16(high, value));
      ESP_KEEP_SUM(dots[r][0]);
      ESP_KEEP_SUM(dots[r][1]);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      float* sum = sums + r * kPanel + half * 8;
      __m256 value = _mm256_cvtepi32_ps(dots[r][half]);
      if (kZeros) value = _mm256_fnmadd_ps(weights.zero[half], broadcast_float(x + R + r), value);
      const __m256 scale = _mm256_mul_ps(weights.scale[half], broadcast_float(x + r));
      _mm256_store_ps(sum, _mm256_fmadd_ps(value, scale, _mm256_load_ps(sum)));
    }
}

template <bool kZeros, int R>
void tile_panel(const LinearProblem& p, int64_t row, int64_t panel, const GroupedTile& t) {
  if (t.first)
    for (int i = 0; i < 2 * R; ++i) _mm256_store_ps(t.partial + i * 8, _mm256_setzero_ps());
  const uint32_t* x = t.x;
  const char* next = t.next;
  for (int64_t block = 0; block < t.blocks; ++block, x += kInt16GroupWords * R) {
    for (int64_t i = 0; i < t.next_lines; ++i, next += 64) _mm_prefetch(next, _MM_HINT_T1);
    add_block<kZeros, R>(x, t.weights[block], t.partial);
  }
  if (!t.last) return;
  const int64_t column = panel * kPanel;
  const Epilogue epilogue =
      epilogue_of(nullptr, p.bias != nullptr ? p.bias + column : nullptr, p.n - column, p.accumulate);
  float* out = p.out + (row - p.out_row) * p.ldo + (panel - p.out_panel) * kPanel;
  for (int r = 0; r < R && row + r < p.m; ++r)
    for (int half = 0; half < 2; ++half)
      store(epilogue, out + r * p.ldo, half, _mm256_load_ps(t.partial + r * kPanel + half * 8));
}

using GroupedTileFunction = void (*)(const LinearProblem& p, int64_t row, int64_t panel, const GroupedTile& tile);
template <bool kZeros>
GroupedTileFunction grouped_tile_of(int64_t tile_rows) {
  static const GroupedTileFunction kTiles[kTileRows] = {tile_panel<kZeros, 1>, tile_panel<kZeros, 2>,
                                                        tile_panel<kZeros, 3>, tile_panel<kZeros, 4>,
                                                        tile_panel<kZeros, 5>};
  return kTiles[tile_rows - 1];
}

template <typename Words>
void unpack_blocks(const GroupedLayout& layout, const char* panel, int64_t block, int64_t count, WeightBlock* out) {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t column = (block + i) * kActivationGroup;
    const char* header = panel + column / layout.group * layout.group_bytes;
    const char* codes = header + layout.header_bytes + column % layout.group * kPanel * Words::kBits / 8;
    for (int half = 0; half < 2; ++half) {
      const float* floats = reinterpret_cast<const float*>(header) + half * 8;
      Words::unpack32(codes, half, out[i].pairs[half]);
      out[i].scale[half] = _mm256_mul_ps(_mm256_loadu_ps(floats), _mm256_set1_ps(1.0f / Words::kUnit));
      out[i].zero[half] = Words::kZeros ? _mm256_loadu_ps(floats + kPanel) : _mm256_setzero_ps();
    }
  }
}

// The unpacked block of a panel, then the partial sums.
inline size_t grouped_scratch_bytes(int64_t, int64_t rows, int64_t panels) {
  return kTileBlocks * sizeof(WeightBlock) + rows * panels * kPanel * sizeof(float);
}

template <typename Words>
void run_grouped_tiles(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, int64_t panel_begin,
                       int64_t panel_end, void* scratch) {
  const GroupedLayout layout = grouped_layout(p.group, p.k, Words::kBits, Words::kZeros);
  const int64_t apart = grouped_panel_bytes(layout, p.k);
  WeightBlock* unpacked = static_cast<WeightBlock*>(scratch);
  float* partial = reinterpret_cast<float*>(unpacked + kTileBlocks);
  const int64_t blocks = ceil_div(p.k, kActivationGroup), panels = panel_end - panel_begin;
  const int64_t tile_words = blocks * kInt16GroupWords * p.tile_rows;
  const GroupedTileFunction run = grouped_tile_of<Words::kZeros>(p.tile_rows);
  GroupedTile t{};
  t.weights = unpacked;
  for (int64_t block = 0; block < blocks; block += t.blocks) {
    t.blocks = blocks - block < kTileBlocks ? blocks - block : kTileBlocks;
    t.first = block == 0;
    t.last = block + t.blocks == blocks;
    t.next_lines =
        ceil_div(kTileBlocks * kActivationGroup * kPanel * Words::kBits / 8 / 64, t.blocks * (tile_end - tile_begin));
    for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
      const char* bytes = static_cast<const char*>(p.weight) + panel * apart;
      unpack_blocks<Words>(layout, bytes, block, t.blocks, unpacked);
      // The next block is the next panel's, or the first panel's, deeper.
      const bool turn = panel + 1 == panel_end;
      const int64_t next_column = (turn ? (t.last ? 0 : block + t.blocks) : block) * kActivationGroup;
      t.next = (turn ? bytes - (panels - 1) * apart : bytes + apart) + next_column / layout.group * layout.group_bytes;
      for (int64_t tile = tile_begin; tile < tile_end; ++tile) {
        t.x = static_cast<const uint32_t*>(p.x) + tile * tile_words + block * kInt16GroupWords * p.tile_rows;
        t.partial = partial + ((tile - tile_begin) * panels + panel - panel_begin) * p.tile_rows * kPanel;
        run(p, tile * p.tile_rows, panel, t);
        t.next += t.next_lines * t.blocks * 64;
      }
    }
  }
}

inline __m256i load_codes(const char* codes, int step, int half) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes + step * 64 + half * 32));
}

// Low bytes and high bytes of values of four columns each -> pairs (0, 2) and (1, 3).
inline void pairs_of_bytes(__m256i low, __m256i high, __m256i* out) {
  const __m256i even = _mm256_set1_epi16(255);
  out[0] = _mm256_or_si256(_mm256_and_si256(low, even), _mm256_slli_epi16(high, 8));
  out[1] = _mm256_or_si256(_mm256_srli_epi16(low, 8), _mm256_andnot_si256(even, high));
}

// 16-bit values of 4-bit codes.
template <const float (&kTable)[16], int kTableUnit, bool kHasZeros = false>
struct TableWords {
  static constexpr int kBits = 4, kUnit = kTableUnit;
  static constexpr bool kZeros = kHasZeros;
  static constexpr Planes kBytes = planes_of(kTable, kUnit, 65536, 8);  // two's complement

  static void unpack32(const char* codes, int half, __m256i* out) {
    const auto bytes_of = [](const uint8_t(&table)[16]) {
      return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
    };
    const __m256i low = bytes_of(kBytes.low), high = bytes_of(kBytes.high), nibble = _mm256_set1_epi8(15);
    for (int step = 0; step < 4; ++step) {
      const __m256i bytes = load_codes(codes, step, half);
      for (int part = 0; part < 2; ++part) {
        const __m256i code = _mm256_and_si256(part == 0 ? bytes : _mm256_srli_epi16(bytes, 4), nibble);
        pairs_of_bytes(_mm256_shuffle_epi8(low, code), _mm256_shuffle_epi8(high, code), out + step * 4 + part * 2);
      }
    }
  }
};

template <bool kHasZeros>
struct Int8Words {
  static constexpr int kBits = 8, kUnit = 1;
  static constexpr bool kZeros = kHasZeros;
  static void unpack32(const char* codes, int half, __m256i* out) {
    for (int step = 0; step < 8; ++step) {
      const __m256i bytes = load_codes(codes, step, half), offset = _mm256_set1_epi16(128);
      out[step * 2] = _mm256_sub_epi16(_mm256_and_si256(bytes, _mm256_set1_epi16(255)), offset);
      out[step * 2 + 1] = _mm256_sub_epi16(_mm256_srli_epi16(bytes, 8), offset);
    }
  }
};

}  // namespace
}  // namespace espalier
