// The loops that the dot-product kernels (vpdpbusd, vdpbf16ps) share on AVX-512: a word of 32 bits holds kWordValues
// consecutive k of one row or column, a panel is [k_words][16] words. An Op type gives the arithmetic:
//   Sum, zero, load, save, add        a vector of 16 sums
//   dot(sum, x, w)                    sum + x . w, word by word
//   Finish, finish_of(problem, panel), finish(finish, sum, problem, row, panel)   from sums to out
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/epilogue_avx512.h"
#include "kernels/matmul/linear_kernel.h"
#include "kernels/matmul/stream_fetch.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

constexpr int64_t kRowsLimit = 8;      // m that the streaming kernels take
constexpr int64_t kTileRows = 14;      // 14 x 32: 28 accumulators, 2 weight vectors, 1 broadcast
constexpr int64_t kBlockWords = 256;   // depth of a block of weights: 32 columns are 32 KiB and stay in L1
constexpr int64_t kFetchSteps = 8;     // words between prefetches
constexpr int64_t kAheadBytes = 1024;  // how far ahead of its use x is brought from L2 to L1

inline float* out_of(const LinearProblem& p, int64_t row, int64_t panel) {
  return p.out + (row - p.out_row) * p.ldo + (panel - p.out_panel) * kPanel;
}

template <typename Op>
const char* panel_of(const LinearProblem& p, int64_t index) {
  return static_cast<const char*>(p.weight) + index * ceil_div(p.k, Op::kWordValues) * 64;
}

// Adds one word of R rows against P panels.
template <typename Op, int R, int P>
inline void add_word(const int32_t* x, int64_t stride, const char* bytes, int64_t apart,
                     typename Op::Sum (&acc)[P][R]) {
  __m512i w[P];
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) w[q] = _mm512_loadu_si512(bytes + q * apart);
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const __m512i value = _mm512_set1_epi32(x[r * stride]);
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) acc[q][r] = Op::dot(acc[q][r], value, w[q]);
  }
}

// R rows of x against P adjacent panels, U words of k in flight.
template <typename Op, int R, int P, int U>
void stream_panels(const LinearProblem& p, int64_t panel) {
  typename Op::Sum acc[U][P][R];
#pragma GCC unroll 8
  for (int u = 0; u < U; ++u)
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) acc[u][q][r] = Op::zero();
  const int32_t* x = static_cast<const int32_t*>(p.x);
  const char* bytes = panel_of<Op>(p, panel);
  const int64_t words = ceil_div(p.k, Op::kWordValues);
  const int64_t apart = words * 64;
  int64_t i = 0;
  for (; i + U <= words; i += U) {
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) fetch<U * 64, P>(bytes + q * apart);
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) add_word<Op, R, P>(x + i + u, p.x_stride, bytes + u * 64, apart, acc[u]);
    bytes += U * 64;
  }
  for (; i < words; ++i, bytes += 64) add_word<Op, R, P>(x + i, p.x_stride, bytes, apart, acc[0]);
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) {
    const typename Op::Finish finish = Op::finish_of(p, panel + q);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int u = 1; u < U; ++u) acc[0][q][r] = Op::add(acc[0][q][r], acc[u][q][r]);
      Op::finish(finish, acc[0][q][r], p, r, panel + q);
    }
  }
}

// Several panels at once where registers allow: each is a stream of its own to the prefetchers.
template <typename Op>
void run_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  struct Stream {
    int64_t panels;
    void (*several)(const LinearProblem&, int64_t);
    void (*one)(const LinearProblem&, int64_t);
  };
  static const Stream kStreams[kRowsLimit] = {{4, stream_panels<Op, 1, 4, 2>, stream_panels<Op, 1, 1, 8>},
                                              {4, stream_panels<Op, 2, 4, 1>, stream_panels<Op, 2, 1, 4>},
                                              {4, stream_panels<Op, 3, 4, 1>, stream_panels<Op, 3, 1, 4>},
                                              {4, stream_panels<Op, 4, 4, 1>, stream_panels<Op, 4, 1, 2>},
                                              {4, stream_panels<Op, 5, 4, 1>, stream_panels<Op, 5, 1, 2>},
                                              {4, stream_panels<Op, 6, 4, 1>, stream_panels<Op, 6, 1, 2>},
                                              {2, stream_panels<Op, 7, 2, 1>, stream_panels<Op, 7, 1, 2>},
                                              {2, stream_panels<Op, 8, 2, 1>, stream_panels<Op, 8, 1, 2>}};
  const Stream& stream = kStreams[p.m - 1];
  int64_t panel = panel_begin;
  for (; panel + stream.panels <= panel_end; panel += stream.panels) stream.several(p, panel);
  for (; panel < panel_end; ++panel) stream.one(p, panel);
}

// One tile against words [word, word_end) of one or two adjacent panels. Sums start from `partial` unless this is the
// first block, and end there unless it is the last. next: what later tiles read, fetched into L2 meanwhile.
struct DotTile {
  int64_t row, panel;
  int64_t word, word_end;
  float* partial;  // [tile_rows][16 or 32] words
  const char* next[2];
  int64_t next_lines;  // of each, every kFetchSteps words
};

template <typename Op, int R, int P>
void tile_panels(const LinearProblem& p, const DotTile& t) {
  typename Op::Sum acc[R][P];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
    for (int q = 0; q < P; ++q) acc[r][q] = t.word == 0 ? Op::zero() : Op::load(t.partial + (r * P + q) * 16);
  const int64_t words = ceil_div(p.k, Op::kWordValues);
  if (t.word_end == words)
    for (int64_t r = 0; r < R && t.row + r < p.m; ++r)
      for (int q = 0; q < P; ++q)
        _mm_prefetch(reinterpret_cast<const char*>(out_of(p, t.row + r, t.panel + q)), _MM_HINT_T0);
  const int32_t* a = static_cast<const int32_t*>(p.x) + (t.row * words + t.word * R);
  const char* b0 = panel_of<Op>(p, t.panel) + t.word * 64;
  const char* b1 = b0 + words * 64;
  const auto step = [&]() __attribute__((always_inline)) {
    __m512i b[P];
    b[0] = _mm512_loadu_si512(b0);
    if (P == 2) b[P - 1] = _mm512_loadu_si512(b1);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const __m512i value = _mm512_set1_epi32(a[r]);
#pragma GCC unroll 2
      for (int q = 0; q < P; ++q) acc[r][q] = Op::dot(acc[r][q], value, b[q]);
    }
    a += R;
    b0 += 64;
    b1 += 64;
  };
  int64_t left = t.word_end - t.word;
  int64_t line = 0;
  for (; left >= kFetchSteps; left -= kFetchSteps) {
    for (int64_t i = 0; i < t.next_lines; ++i, line += 64) {
      _mm_prefetch(t.next[0] + line, _MM_HINT_T1);
      _mm_prefetch(t.next[1] + line, _MM_HINT_T1);
    }
#pragma GCC unroll 8
    for (int at = 0; at < R * kFetchSteps * 4; at += 64)
      _mm_prefetch(reinterpret_cast<const char*>(a) + kAheadBytes + at, _MM_HINT_T0);
#pragma GCC unroll 2
    for (int64_t i = 0; i < kFetchSteps; ++i) step();
  }
  for (; left > 0; --left) step();

  if (t.word_end < words) {
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int q = 0; q < P; ++q) Op::save(t.partial + (r * P + q) * 16, acc[r][q]);
    return;
  }
#pragma GCC unroll 2
  for (int q = 0; q < P; ++q) {
    const typename Op::Finish finish = Op::finish_of(p, t.panel + q);
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r)
      if (t.row + r < p.m) Op::finish(finish, acc[r][q], p, t.row + r, t.panel + q);
  }
}

inline size_t dot_scratch_bytes(int64_t, int64_t rows, int64_t panels) {
  return rows * round_up(panels, 2) * kPanel * sizeof(float);
}

// One block of weights against every tile of the range, fetching the block `next_bytes` further on of each panel.
template <typename Op>
void run_block(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, bool pair, int64_t partial_stride,
               DotTile* t) {
  using TileFunction = void (*)(const LinearProblem&, const DotTile&);
#define ESP_TILE_ROW(R) \
  { tile_panels<Op, R, 1>, tile_panels<Op, R, 2> }
  static const TileFunction kTiles[kTileRows][2] = {
      ESP_TILE_ROW(1),  ESP_TILE_ROW(2),  ESP_TILE_ROW(3),  ESP_TILE_ROW(4), ESP_TILE_ROW(5),
      ESP_TILE_ROW(6),  ESP_TILE_ROW(7),  ESP_TILE_ROW(8),  ESP_TILE_ROW(9), ESP_TILE_ROW(10),
      ESP_TILE_ROW(11), ESP_TILE_ROW(12), ESP_TILE_ROW(13), ESP_TILE_ROW(14)};
#undef ESP_TILE_ROW
  const TileFunction tile = kTiles[p.tile_rows - 1][pair];
  const int64_t words = t->word_end - t->word;
  const int64_t fetches = words / kFetchSteps;
  const int64_t lines = ceil_div(words, (fetches > 0 ? fetches : 1) * (tile_end - tile_begin));
  int64_t left = words;
  for (int64_t index = tile_begin; index < tile_end; ++index) {
    t->row = index * p.tile_rows;
    t->next_lines = left > 0 ? lines : 0;
    tile(p, *t);
    left -= lines * fetches;
    for (const char*& next : t->next) next += lines * fetches * 64;
    t->partial += partial_stride;
  }
}

template <typename Op>
void run_tiles(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, int64_t panel_begin, int64_t panel_end,
               void* scratch) {
  const int64_t words = ceil_div(p.k, Op::kWordValues);
  const int64_t pairs = ceil_div(panel_end - panel_begin, 2);
  const int64_t pair_sums = p.tile_rows * 2 * kPanel;
  DotTile t{};
  for (t.word = 0; t.word < words; t.word = t.word_end) {
    t.word_end = t.word + kBlockWords < words ? t.word + kBlockWords : words;
    for (int64_t index = 0; index < pairs; ++index) {
      t.panel = panel_begin + index * 2;
      t.partial = static_cast<float*>(scratch) + index * pair_sums;
      const bool pair = t.panel + 1 < panel_end;
      const bool turn = index + 1 == pairs;  // the next block is the first pair's, deeper
      const int64_t next_panel = turn ? panel_begin : t.panel + 2;
      const int64_t next_word = !turn ? t.word : t.word_end < words ? t.word_end : 0;
      t.next[0] = panel_of<Op>(p, next_panel) + next_word * 64;
      t.next[1] = next_panel + 1 < panel_end ? t.next[0] + words * 64 : t.next[0];
      run_block<Op>(p, tile_begin, tile_end, pair, pairs * pair_sums, &t);
    }
  }
}

}  // namespace
}  // namespace espalier
