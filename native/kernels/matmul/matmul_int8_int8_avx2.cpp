// matmul_int8_int8_avx2. Both ways are exact because |a| <= 127, |w| <= 128:
//   small m  vpsignb moves the sign of w to a, vpmaddubsw(|w|, +-a) stays within 2 * 128 * 127 < 32768, vpmaddwd adds
//   large m  weights widened once to int16 pairs, vpmaddwd into int32: as many products per instruction, two fewer
//   steps
// Scales of x that are given let it be -128, whose sign vpsignb cannot turn: int8t widens for small m too, as it
// streams. SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/epilogue_avx2.h"
#include "kernels/matmul/linear_kernel.h"
#include "kernels/matmul/stream_fetch.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

constexpr int64_t kRowsLimit = 4;
constexpr int64_t kTileRows = 6;

const char* panel_of(const LinearProblem& p, int64_t index) {
  return static_cast<const char*>(p.weight) + index * panel_bytes_int8_w8a8(p.k);
}

__m256i load_bytes(const char* bytes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)); }

// Per panel: what turns 16 sums into 16 results.
struct Scaling {
  __m256 scale[2];
  Epilogue epilogue;
};

Scaling scaling_of(const LinearProblem& p, int64_t panel) {
  const int64_t column = panel * kPanel;
  const float* scales =
      reinterpret_cast<const float*>(static_cast<const char*>(p.weight) + scale_offset_int8_w8a8(p.n, p.k)) + column;
  const float* bias = p.bias != nullptr ? p.bias + column : nullptr;
  return {{_mm256_loadu_ps(scales), _mm256_loadu_ps(scales + 8)},
          epilogue_of(nullptr, bias, p.n - column, p.accumulate)};
}

inline void store_sums(const Scaling& s, __m256i sum0, __m256i sum1, float x_scale, float* out) {
  const __m256 scale = _mm256_set1_ps(x_scale);
  store(s.epilogue, out, 0, _mm256_mul_ps(_mm256_cvtepi32_ps(sum0), _mm256_mul_ps(scale, s.scale[0])));
  store(s.epilogue, out, 1, _mm256_mul_ps(_mm256_cvtepi32_ps(sum1), _mm256_mul_ps(scale, s.scale[1])));
}

float* out_of(const LinearProblem& p, int64_t row, int64_t panel) {
  return p.out + (row - p.out_row) * p.ldo + (panel - p.out_panel) * kPanel;
}

// One word of R rows against 16 columns.
template <int R>
inline void add_word(const int32_t* x, int64_t stride, const char* bytes, __m256i (&acc)[R][2]) {
  const __m256i ones = _mm256_set1_epi16(1);
  const __m256i w0 = load_bytes(bytes), w1 = load_bytes(bytes + 32);
  const __m256i size0 = _mm256_abs_epi8(w0), size1 = _mm256_abs_epi8(w1);
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    const __m256i a = _mm256_set1_epi32(x[r * stride]);
    const __m256i pairs0 = _mm256_maddubs_epi16(size0, _mm256_sign_epi8(a, w0));
    const __m256i pairs1 = _mm256_maddubs_epi16(size1, _mm256_sign_epi8(a, w1));
    acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(pairs0, ones));
    acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(pairs1, ones));
    ESP_KEEP_SUM(acc[r][0]);
    ESP_KEEP_SUM(acc[r][1]);
  }
}

// R rows of x against one panel. The sums depend on vpaddd alone, so one set of accumulators keeps up.
template <int R>
void stream_panel(const LinearProblem& p, int64_t panel) {
  __m256i acc[R][2];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
  const int32_t* x = static_cast<const int32_t*>(p.x);
  const char* bytes = panel_of(p, panel);
  const int64_t words = ceil_div(p.k, 4);
#pragma GCC unroll 4
  for (int64_t i = 0; i < words; ++i) {
    fetch<64, 1>(bytes);
    add_word<R>(x + i, p.x_stride, bytes, acc);
    bytes += 64;
  }
  const Scaling scaling = scaling_of(p, panel);
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) store_sums(scaling, acc[r][0], acc[r][1], p.x_scale[r], out_of(p, r, panel));
}

using StreamFunction = void (*)(const LinearProblem&, int64_t);
const StreamFunction kStreams[kRowsLimit] = {stream_panel<1>, stream_panel<2>, stream_panel<3>, stream_panel<4>};

void run_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  for (int64_t panel = panel_begin; panel < panel_end; ++panel) kStreams[p.m - 1](p, panel);
}

// Four values of a row of x, as int16, against four of each of 16 columns: two sums a column.
template <int R>
inline void add_quad(const int64_t (&x)[R], const char* bytes, __m256i (&acc)[R][4]) {
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m256i w = _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16 * j)));
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) acc[r][j] = _mm256_add_epi32(acc[r][j], _mm256_madd_epi16(_mm256_set1_epi64x(x[r]), w));
  }
}

// Of 8 columns: [c0 c0 c1 c1 | c2 c2 c3 c3], [c4 c4 ...] -> [c0 c1 ... c7].
inline __m256i add_pairs(__m256i low, __m256i high) {
  return _mm256_permute4x64_epi64(_mm256_hadd_epi32(low, high), 0xd8);
}

// R rows of x in int16 against one panel.
template <int R>
void stream_panel_widened(const LinearProblem& p, int64_t row, int64_t panel) {
  __m256i acc[R][4];
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = acc[r][2] = acc[r][3] = _mm256_setzero_si256();
  const int32_t* x = static_cast<const int32_t*>(p.x) + row * p.x_stride;
  const char* bytes = panel_of(p, panel);
  const int64_t words = ceil_div(p.k, 2);
  int64_t quad[R];
  int64_t i = 0;
  for (; i + 2 <= words; i += 2, bytes += 64) {
    fetch<64, 1>(bytes);
#pragma GCC unroll 2
    for (int r = 0; r < R; ++r) __builtin_memcpy(&quad[r], x + r * p.x_stride + i, 8);
    add_quad<R>(quad, bytes, acc);
  }
  if (i < words) {
    for (int r = 0; r < R; ++r) quad[r] = static_cast<uint32_t>(x[r * p.x_stride + i]);
    add_quad<R>(quad, bytes, acc);
  }
  const Scaling scaling = scaling_of(p, panel);
#pragma GCC unroll 2
  for (int r = 0; r < R; ++r)
    store_sums(scaling, add_pairs(acc[r][0], acc[r][1]), add_pairs(acc[r][2], acc[r][3]), p.x_scale[row + r],
               out_of(p, row + r, panel));
}

// Two rows at a time: their sums fill half of the registers.
void run_rows_widened(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
    int64_t row = 0;
    for (; row + 2 <= p.m; row += 2) stream_panel_widened<2>(p, row, panel);
    if (row < p.m) stream_panel_widened<1>(p, row, panel);
  }
}

// A panel [k/4][16][4] int8 -> [k/2][16][2] int16.
void widen_panel(const char* bytes, int64_t k, char* out) {
  const __m256i low = _mm256_setr_epi8(-1, 0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13,  //
                                       -1, 0, -1, 1, -1, 4, -1, 5, -1, 8, -1, 9, -1, 12, -1, 13);
  const __m256i high = _mm256_setr_epi8(-1, 2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15,  //
                                        -1, 2, -1, 3, -1, 6, -1, 7, -1, 10, -1, 11, -1, 14, -1, 15);
  for (int64_t i = 0; i < ceil_div(k, 4); ++i) {
    for (int half = 0; half < 2; ++half) {
      const __m256i quads = load_bytes(bytes + i * 64 + half * 32);
      __m256i* to = reinterpret_cast<__m256i*>(out + i * 128 + half * 32);
      _mm256_store_si256(to, _mm256_srai_epi16(_mm256_shuffle_epi8(quads, low), 8));
      _mm256_store_si256(to + 2, _mm256_srai_epi16(_mm256_shuffle_epi8(quads, high), 8));
    }
  }
}

// One tile of R rows against one widened panel over the whole of k.
template <int R>
void tile_panel(const LinearProblem& p, int64_t row, const char* panel_pairs, const Scaling& scaling, int64_t panel) {
  __m256i acc[R][2];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) acc[r][0] = acc[r][1] = _mm256_setzero_si256();
  const int64_t words = ceil_div(p.k, 2);
  const int32_t* a = static_cast<const int32_t*>(p.x) + row * words;
  for (int64_t i = 0; i < words; ++i) {
    const __m256i b0 = load_bytes(panel_pairs + i * 64), b1 = load_bytes(panel_pairs + i * 64 + 32);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m256i value = _mm256_set1_epi32(a[r]);
      acc[r][0] = _mm256_add_epi32(acc[r][0], _mm256_madd_epi16(value, b0));
      acc[r][1] = _mm256_add_epi32(acc[r][1], _mm256_madd_epi16(value, b1));
      ESP_KEEP_SUM(acc[r][0]);
      ESP_KEEP_SUM(acc[r][1]);
    }
    a += R;
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r)
    if (row + r < p.m) store_sums(scaling, acc[r][0], acc[r][1], p.x_scale[row + r], out_of(p, row + r, panel));
}

using TileFunction = void (*)(const LinearProblem&, int64_t, const char*, const Scaling&, int64_t);
const TileFunction kTiles[kTileRows] = {tile_panel<1>, tile_panel<2>, tile_panel<3>,
                                        tile_panel<4>, tile_panel<5>, tile_panel<6>};

size_t scratch_bytes(int64_t k, int64_t, int64_t) { return static_cast<size_t>(round_up(k, 4)) * kPanel * 2; }

void run_tiles(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, int64_t panel_begin, int64_t panel_end,
               void* scratch) {
  char* pairs = static_cast<char*>(scratch);
  for (int64_t panel = panel_begin; panel < panel_end; ++panel) {
    widen_panel(panel_of(p, panel), p.k, pairs);
    const Scaling scaling = scaling_of(p, panel);
    for (int64_t index = tile_begin; index < tile_end; ++index)
      kTiles[p.tile_rows - 1](p, index * p.tile_rows, pairs, scaling, panel);
  }
}

}  // namespace

const LinearKernel matmul_int8_int8_avx2 = {"matmul_int8_int8_avx2", &stage_int8_avx2, run_rows,  kRowsLimit,
                                            &stage_int16_avx2,       run_tiles,        kTileRows, scratch_bytes};
const LinearKernel matmul_int8t_int8_avx2 = {
    "matmul_int8t_int8_avx2", &stage_int16_avx2, run_rows_widened, kRowsLimit,
    &stage_int16_avx2,        run_tiles,         kTileRows,        scratch_bytes};

}  // namespace espalier
