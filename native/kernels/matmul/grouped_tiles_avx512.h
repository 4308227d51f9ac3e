// Many rows against grouped codes (quant/grouped_layout.h) on AVX-512 VNNI: blocks of weights become pairs of int16,
// met with rows of 16-bit integers in groups of 32 (stage_int16_groups_avx512): finer than f16 would be, and twice as
// many products a cycle as f32. Sums of 32 products are exact. A Words type:
//   kBits, kZeros, kUnit                  value = word / kUnit
//   unpack32(codes, out)                  32 columns of 16 rows -> out [16][16] pairs, ordered as the stage orders x
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/epilogue_avx512.h"
#include "kernels/matmul/linear_kernel.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

constexpr int64_t kTileRows = 14;      // 14 x 32: 28 accumulators, 2 weight vectors, 1 broadcast
constexpr int64_t kTileBlocks = 8;     // groups of 32 columns of a block of weights: 32 rows of it are 18 KiB
constexpr int64_t kPairsOfBlock = 16;  // pairs of a group of 32

// 32 columns of a panel.
struct WeightBlock {
  __m512i pairs[kPairsOfBlock];
  __m512 scale, zero;
};

// One tile of x against `blocks` blocks of one or two adjacent panels. Sums start from `partial` unless `first`, and
// end there unless `last`.
struct GroupedTile {
  const uint32_t* x;  // [blocks][kInt16GroupWords][tile_rows]
  const WeightBlock* weights[2];
  int64_t blocks;
  float* partial;       // [tile_rows][1 or 2][16]
  const char* next[2];  // what later tiles read: next_lines of each are fetched for every block
  int64_t next_lines;
  bool first, last;
};

// A pair of x in every lane.
inline __m512i broadcast_pair(const uint32_t* x) { return _mm512_set1_epi32(static_cast<int>(*x)); }
inline __m512 broadcast_float(const uint32_t* x) { return _mm512_castsi512_ps(broadcast_pair(x)); }

// Adds one block to the sums.
template <bool kZeros, int R, int P>
inline void add_block(const uint32_t* x, const WeightBlock* const (&weights)[P], float* sums) {
  __m512i dots[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int q = 0; q < P; ++q) dots[r][q] = _mm512_setzero_si512();
  const uint32_t* pairs = x + 2 * R;
#pragma GCC unroll 2
  for (int i = 0; i < kPairsOfBlock; ++i, pairs += R) {
    __m512i w[P];
#pragma GCC unroll 2
    for (int q = 0; q < P; ++q) w[q] = weights[q]->pairs[i];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int q = 0; q < P; ++q) {
        dots[r][q] = _mm512_dpwssd_epi32(dots[r][q], w[q], broadcast_pair(pairs + r));
        asm("" : "+v"(dots[r][q]));
      }
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int q = 0; q < P; ++q) {
      float* sum = sums + (r * P + q) * kPanel;
      __m512 value = _mm512_cvtepi32_ps(dots[r][q]);
      if (kZeros) value = _mm512_fnmadd_ps(weights[q]->zero, broadcast_float(x + R + r), value);
      const __m512 scale = _mm512_mul_ps(weights[q]->scale, broadcast_float(x + r));
      _mm512_store_ps(sum, _mm512_fmadd_ps(value, scale, _mm512_load_ps(sum)));
    }
}

template <bool kZeros, int R, int P>
void tile_panels(const LinearProblem& p, int64_t row, int64_t panel, const GroupedTile& t) {
  if (t.first)
    for (int i = 0; i < R * P; ++i) _mm512_store_ps(t.partial + i * kPanel, _mm512_setzero_ps());
  const uint32_t* x = t.x;
  const WeightBlock* weights[P];
#pragma GCC unroll 2
  for (int q = 0; q < P; ++q) weights[q] = t.weights[q];
  int64_t line = 0;
  for (int64_t block = 0; block < t.blocks; ++block, x += kInt16GroupWords * R) {
    for (int64_t i = 0; i < t.next_lines; ++i, line += 64) {
      _mm_prefetch(t.next[0] + line, _MM_HINT_T1);
      _mm_prefetch(t.next[1] + line, _MM_HINT_T1);
    }
    add_block<kZeros, R, P>(x, weights, t.partial);
#pragma GCC unroll 2
    for (int q = 0; q < P; ++q) ++weights[q];
  }
  if (!t.last) return;
#pragma GCC unroll 2
  for (int q = 0; q < P; ++q) {
    const int64_t column = (panel + q) * kPanel;
    const float* bias = p.bias != nullptr ? p.bias + column : nullptr;
    const Epilogue epilogue = epilogue_of(nullptr, bias, p.n - column, 0, p.accumulate);
    float* out = p.out + (row - p.out_row) * p.ldo + (panel + q - p.out_panel) * kPanel;
    for (int r = 0; r < R && row + r < p.m; ++r)
      store(epilogue, out + r * p.ldo, _mm512_load_ps(t.partial + (r * P + q) * kPanel));
  }
}

using GroupedTileFunction = void (*)(const LinearProblem& p, int64_t row, int64_t panel, const GroupedTile& tile);
template <bool kZeros>
GroupedTileFunction grouped_tile_of(int64_t tile_rows, bool pair) {
#define ESP_TILE_ROW(R) \
  { tile_panels<kZeros, R, 1>, tile_panels<kZeros, R, 2> }
  static const GroupedTileFunction kTiles[kTileRows][2] = {
      ESP_TILE_ROW(1),  ESP_TILE_ROW(2),  ESP_TILE_ROW(3),  ESP_TILE_ROW(4), ESP_TILE_ROW(5),
      ESP_TILE_ROW(6),  ESP_TILE_ROW(7),  ESP_TILE_ROW(8),  ESP_TILE_ROW(9), ESP_TILE_ROW(10),
      ESP_TILE_ROW(11), ESP_TILE_ROW(12), ESP_TILE_ROW(13), ESP_TILE_ROW(14)};
#undef ESP_TILE_ROW
  return kTiles[tile_rows - 1][pair];
}

// Where things of a panel lie.
template <typename Words>
struct PanelPlaces {
  GroupedLayout layout;
  const char* bytes;
  int64_t apart;  // of panels

  explicit PanelPlaces(const LinearProblem& p)
      : layout(grouped_layout(p.group, p.k, Words::kBits, Words::kZeros)),
        bytes(static_cast<const char*>(p.weight)),
        apart(grouped_panel_bytes(layout, p.k)) {}
  const char* header(int64_t panel, int64_t column) const {
    return bytes + panel * apart + column / layout.group * layout.group_bytes;
  }
  const char* codes(int64_t panel, int64_t column) const {
    return header(panel, column) + layout.header_bytes + column % layout.group * kPanel * Words::kBits / 8;
  }
};

template <typename Words>
void unpack_blocks(const PanelPlaces<Words>& places, int64_t panel, int64_t block, int64_t count, WeightBlock* out) {
  for (int64_t i = 0; i < count; ++i) {
    const int64_t column = (block + i) * kActivationGroup;
    const char* header = places.header(panel, column);
    Words::unpack32(places.codes(panel, column), out[i].pairs);
    out[i].scale = _mm512_mul_ps(_mm512_loadu_ps(header), _mm512_set1_ps(1.0f / Words::kUnit));
    out[i].zero = Words::kZeros ? _mm512_loadu_ps(header + 64) : _mm512_setzero_ps();
  }
}

// The unpacked block of two panels, then the partial sums.
inline size_t grouped_scratch_bytes(int64_t, int64_t rows, int64_t panels) {
  return 2 * kTileBlocks * sizeof(WeightBlock) + rows * round_up(panels, 2) * kPanel * sizeof(float);
}

template <typename Words>
void run_grouped_tiles(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, int64_t panel_begin,
                       int64_t panel_end, void* scratch) {
  const PanelPlaces<Words> places(p);
  WeightBlock* unpacked = static_cast<WeightBlock*>(scratch);
  float* partial = reinterpret_cast<float*>(unpacked + 2 * kTileBlocks);
  const int64_t blocks = ceil_div(p.k, kActivationGroup), pairs = ceil_div(panel_end - panel_begin, 2);
  const int64_t tile_words = blocks * kInt16GroupWords * p.tile_rows, tiles = tile_end - tile_begin;
  GroupedTile t{};
  t.weights[0] = unpacked;
  t.weights[1] = unpacked + kTileBlocks;
  for (int64_t block = 0; block < blocks; block += t.blocks) {
    t.blocks = blocks - block < kTileBlocks ? blocks - block : kTileBlocks;
    t.first = block == 0;
    t.last = block + t.blocks == blocks;
    for (int64_t index = 0; index < pairs; ++index) {
      const int64_t panel = panel_begin + index * 2;
      const bool pair = panel + 1 < panel_end;
      unpack_blocks(places, panel, block, t.blocks, unpacked);
      if (pair) unpack_blocks(places, panel + 1, block, t.blocks, unpacked + kTileBlocks);
      // The next block is the next pair's, or the first pair's, deeper.
      const bool turn = index + 1 == pairs;
      const int64_t next_panel = turn ? panel_begin : panel + 2;
      const int64_t next_column = (turn ? (t.last ? 0 : block + t.blocks) : block) * kActivationGroup;
      t.next[0] = places.header(next_panel, next_column);
      t.next[1] = next_panel + 1 < panel_end ? t.next[0] + places.apart : t.next[0];
      const int64_t lines = ceil_div(kTileBlocks * kActivationGroup * kPanel * Words::kBits / 8 / 64, t.blocks * tiles);
      const GroupedTileFunction run = grouped_tile_of<Words::kZeros>(p.tile_rows, pair);
      t.next_lines = lines;
      for (int64_t tile = tile_begin; tile < tile_end; ++tile) {
        t.x = static_cast<const uint32_t*>(p.x) + tile * tile_words + block * kInt16GroupWords * p.tile_rows;
        t.partial = partial + ((tile - tile_begin) * pairs + index) * p.tile_rows * 2 * kPanel;
        run(p, tile * p.tile_rows, panel, t);
        for (const char*& next : t.next) next += lines * t.blocks * 64;
      }
    }
  }
}

// Pairs of 16-bit values of 4-bit codes: each of the four nibbles of a 16-bit lane in turn.
struct TableWords16 {
  int16_t words[32];  // twice the table: vpermw reads five bits, of which the highest is the next code's
};
template <const float (&kTable)[16], int kTableUnit, bool kHasZeros = false>
struct TableWords {
  static constexpr int kBits = 4, kUnit = kTableUnit;
  static constexpr bool kZeros = kHasZeros;
  static constexpr TableWords16 table() {
    TableWords16 table{};
    for (int i = 0; i < 32; ++i) {
      const float scaled = kTable[i % 16] * kTableUnit;
      table.words[i] = static_cast<int16_t>(scaled < 0 ? scaled - 0.5f : scaled + 0.5f);
    }
    return table;
  }
  static constexpr TableWords16 kWords = table();

  static void unpack32(const char* codes, __m512i* out) {
    const __m512i words = _mm512_loadu_si512(kWords.words);
    for (int step = 0; step < 4; ++step) {
      const __m512i bytes = _mm512_loadu_si512(codes + step * 64);
      out[step * 4] = _mm512_permutexvar_epi16(bytes, words);
      out[step * 4 + 1] = _mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 8), words);
      out[step * 4 + 2] = _mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 4), words);
      out[step * 4 + 3] = _mm512_permutexvar_epi16(_mm512_srli_epi16(bytes, 12), words);
    }
  }
};

template <bool kHasZeros>
struct Int8Words {
  static constexpr int kBits = 8, kUnit = 1;
  static constexpr bool kZeros = kHasZeros;
  static void unpack32(const char* codes, __m512i* out) {
    for (int step = 0; step < 8; ++step) {
      const __m512i bytes = _mm512_loadu_si512(codes + step * 64);
      const __m512i even = _mm512_and_si512(bytes, _mm512_set1_epi16(255));
      out[step * 2] = _mm512_sub_epi16(even, _mm512_set1_epi16(128));
      out[step * 2 + 1] = _mm512_sub_epi16(_mm512_srli_epi16(bytes, 8), _mm512_set1_epi16(128));
    }
  }
};

}  // namespace
}  // namespace espalier
