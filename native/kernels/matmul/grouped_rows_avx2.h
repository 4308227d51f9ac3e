// Few rows of int8 in groups of 32 against grouped codes (quant/grouped_layout.h) on AVX2: integer sums of 32 products
// are exact; each is scaled by its group of x and its group of weights. Only ISA files include this; everything is
// local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/epilogue_avx2.h"
#include "kernels/matmul/grouped_codes_avx2.h"
#include "kernels/matmul/linear_kernel.h"
#include "kernels/matmul/stream_fetch.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

constexpr int64_t kStreamRows = 4;  // rows met at once; more meet a panel again while it is in the cache

inline __m256i load_bytes(const char* bytes) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)); }

// Products of kWords words of k from `word` on, added to dots.
template <typename Codes, int R, int P>
inline void add_words(const uint32_t* x, int64_t stride, const char* bytes, int64_t apart, int word,
                      __m256i (&dots)[P][R]) {
  constexpr int kPlanes = Codes::kPlanes;
  __m256i pairs[P][R][kPlanes];
#pragma GCC unroll 8
  for (int i = 0; i < Codes::kWords; ++i) {
    const int step = (word + i) / Codes::kParts, part = (word + i) % Codes::kParts;
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) {
      __m256i w[kPlanes];
      Codes::part(load_bytes(bytes + q * apart + step * 64), part, w);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const __m256i value = _mm256_set1_epi32(static_cast<int>(x[r * stride + 2 + word + i]));
#pragma GCC unroll 2
        for (int plane = 0; plane < kPlanes; ++plane) {
          const __m256i product = Codes::products(w[plane], value);
          pairs[q][r][plane] = i == 0 ? product : _mm256_add_epi16(pairs[q][r][plane], product);
          ESP_KEEP_SUM(pairs[q][r][plane]);
        }
      }
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int plane = 0; plane < kPlanes; ++plane) {
        const __m256i weight = _mm256_set1_epi16(plane == 0 ? 1 : 1 << Codes::kShift);
        dots[q][r] = _mm256_add_epi32(dots[q][r], _mm256_madd_epi16(pairs[q][r][plane], weight));
        ESP_KEEP_SUM(dots[q][r]);
      }
}

// 32 values of k of R rows against 8 columns of each of P panels; header: their scales.
template <typename Codes, int R, int P>
inline void add_half(const uint32_t* x, int64_t stride, const char* bytes, const char* header, int64_t apart,
                     __m256 (&sum)[P][R]) {
  __m256i dots[P][R];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    const __m256i start = _mm256_set1_epi32(-Codes::kOffset * static_cast<int32_t>(x[r * stride + 1]));
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) dots[q][r] = start;
  }
#pragma GCC unroll 8
  for (int word = 0; word < 8; word += Codes::kWords) add_words<Codes, R, P>(x, stride, bytes, apart, word, dots);
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
    const __m256 x_scale = _mm256_castsi256_ps(_mm256_set1_epi32(static_cast<int>(x[r * stride])));
    const __m256 x_sum = _mm256_set1_ps(static_cast<float>(static_cast<int32_t>(x[r * stride + 1])));
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) {
      const float* scales = reinterpret_cast<const float*>(header + q * apart);
      __m256 value = _mm256_cvtepi32_ps(dots[q][r]);
      if (Codes::kZeros) value = _mm256_fnmadd_ps(_mm256_loadu_ps(scales + kPanel), x_sum, value);
      sum[q][r] = _mm256_fmadd_ps(value, _mm256_mul_ps(x_scale, _mm256_loadu_ps(scales)), sum[q][r]);
    }
  }
}

template <typename Codes, int R, int P>
void store_panels(const LinearProblem& p, int64_t panel, int64_t row, const __m256 (&sum)[2][P][R]) {
  const __m256 unit = _mm256_set1_ps(1.0f / Codes::kUnit);
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) {
    const int64_t column = (panel + q) * kPanel;
    const Epilogue epilogue =
        epilogue_of(nullptr, p.bias != nullptr ? p.bias + column : nullptr, p.n - column, p.accumulate);
    float* out = p.out + (row - p.out_row) * p.ldo + (column - p.out_panel * kPanel);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) store(epilogue, out + r * p.ldo, half, _mm256_mul_ps(sum[half][q][r], unit));
  }
}

// Rows [row, row + R) of x against P adjacent panels.
template <typename Codes, int R, int P>
void stream_panels(const LinearProblem& p, int64_t panel, int64_t row) {
  constexpr int64_t kBlockBytes = kActivationGroup * kPanel * Codes::kBits / 8;
  constexpr int64_t kHeaderBytes = Codes::kZeros ? 128 : 64;
  const GroupedLayout layout = grouped_layout(p.group, p.k, Codes::kBits, Codes::kZeros);
  const int64_t apart = grouped_panel_bytes(layout, p.k);
  const int64_t blocks = ceil_div(p.k, kActivationGroup);
  const int64_t group_blocks = layout.group / kActivationGroup;
  const char* bytes = static_cast<const char*>(p.weight) + panel * apart;
  const uint32_t* x = static_cast<const uint32_t*>(p.x) + row * p.x_stride;
  __m256 sum[2][P][R];
#pragma GCC unroll 2
  for (int half = 0; half < 2; ++half)
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q)
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sum[half][q][r] = _mm256_setzero_ps();
  for (int64_t block = 0; block < blocks;) {
    const char* header = bytes;
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) fetch<kHeaderBytes, P>(header + q * apart);
    bytes += kHeaderBytes;
    const int64_t end = block + group_blocks < blocks ? block + group_blocks : blocks;
    for (; block < end; ++block, x += kGroupWords, bytes += kBlockBytes) {
#pragma GCC unroll 4
      for (int q = 0; q < P; ++q) fetch<kBlockBytes, P>(bytes + q * apart);
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half)
        add_half<Codes, R, P>(x, p.x_stride, bytes + half * 32, header + half * 32, apart, sum[half]);
    }
  }
  store_panels<Codes, R, P>(p, panel, row, sum);
}

// Several panels at once where registers allow: each is a stream of its own to the prefetchers.
template <typename Codes>
void run_grouped_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  using Stream = void (*)(const LinearProblem&, int64_t, int64_t);
  constexpr int kMost = Codes::kPlanes == 2 ? 2 : 4, kTwo = Codes::kPlanes == 2 ? 1 : 2;
  static const int64_t kPanels[kStreamRows] = {kMost, kTwo, 1, 1};
  static const Stream kSeveral[kStreamRows] = {stream_panels<Codes, 1, kMost>, stream_panels<Codes, 2, kTwo>,
                                               stream_panels<Codes, 3, 1>, stream_panels<Codes, 4, 1>};
  static const Stream kOne[kStreamRows] = {stream_panels<Codes, 1, 1>, stream_panels<Codes, 2, 1>,
                                           stream_panels<Codes, 3, 1>, stream_panels<Codes, 4, 1>};
  int64_t panel = panel_begin;
  if (p.m <= kStreamRows)
    for (; panel + kPanels[p.m - 1] <= panel_end; panel += kPanels[p.m - 1]) kSeveral[p.m - 1](p, panel, 0);
  for (; panel < panel_end; ++panel)
    for (int64_t row = 0; row < p.m; row += kStreamRows)
      kOne[(p.m - row < kStreamRows ? p.m - row : kStreamRows) - 1](p, panel, row);
}

}  // namespace
}  // namespace espalier
