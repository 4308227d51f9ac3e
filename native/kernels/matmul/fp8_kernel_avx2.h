// Grouped fp8 codes (quant/grouped_layout.h) against f32 activations on AVX2. A code becomes an f16 by shifts, e4m3 as
// 2^-8 of its value (f16's exponent bias is 8 larger; subnormals stay exact), which the scale makes good. A Code type:
//   kUnit               what the f16 has to be multiplied with
//   halves(bytes)       16 bytes -> 16 f16
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/float_tiles_avx2.h"
#include "kernels/matmul/grouped_blocks_avx2.h"
#include "kernels/matmul/stream_fetch.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

constexpr int64_t kStreamRows = 4;  // rows met at once; more meet a panel again while it is in the cache

struct E4M3 {
  static constexpr float kUnit = 256.0f;
  static __m256i halves(__m128i bytes) {
    const __m256i wide = _mm256_slli_epi16(_mm256_cvtepi8_epi16(bytes), 7);  // sign twice, then exponent
    return _mm256_and_si256(wide, _mm256_set1_epi16(static_cast<int16_t>(0xbfff)));
  }
};
struct E5M2 {
  static constexpr float kUnit = 1.0f;
  static __m256i halves(__m128i bytes) { return _mm256_slli_epi16(_mm256_cvtepi8_epi16(bytes), 8); }
};

// One column of k of 16 rows.
template <typename Code>
inline void load_column(const char* bytes, __m256 (&w)[2]) {
  const __m256i halves = Code::halves(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
  w[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(halves));
  w[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(halves, 1));
}

// Adds one column of R rows against P panels.
template <typename Code, int R, int P>
inline void add_column(const float* x, int64_t stride, const char* bytes, int64_t apart, __m256 (&sum)[P][R][2]) {
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) {
    __m256 w[2];
    load_column<Code>(bytes + q * apart, w);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const __m256 value = _mm256_broadcast_ss(x + r * stride);
      sum[q][r][0] = _mm256_fmadd_ps(value, w[0], sum[q][r][0]);
      sum[q][r][1] = _mm256_fmadd_ps(value, w[1], sum[q][r][1]);
    }
  }
}

template <int R, int P>
inline void clear(__m256 (&sum)[P][R][2]) {
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q)
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) sum[q][r][0] = sum[q][r][1] = _mm256_setzero_ps();
}

// sum += part * the scales of the groups at `group`.
template <typename Code, int R, int P>
inline void add_group(const char* group, int64_t apart, const __m256 (&part)[P][R][2], __m256 (&sum)[P][R][2]) {
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q)
#pragma GCC unroll 2
    for (int half = 0; half < 2; ++half) {
      const float* scales = reinterpret_cast<const float*>(group + q * apart) + half * 8;
      const __m256 scale = _mm256_mul_ps(_mm256_loadu_ps(scales), _mm256_set1_ps(Code::kUnit));
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) sum[q][r][half] = _mm256_fmadd_ps(part[q][r][half], scale, sum[q][r][half]);
    }
}

// Rows [row, row + R) of x against P adjacent panels.
template <typename Code, int R, int P>
void stream_panels(const LinearProblem& p, int64_t panel, int64_t row) {
  const GroupedLayout layout = grouped_layout(p.group, p.k, 8, false);
  const int64_t apart = grouped_panel_bytes(layout, p.k);
  const char* group = static_cast<const char*>(p.weight) + panel * apart;
  const float* x = static_cast<const float*>(p.x) + row * p.x_stride;
  __m256 sum[P][R][2];
  clear<R, P>(sum);
  for (int64_t begin = 0; begin < p.k; begin += layout.group, group += layout.group_bytes) {
    const int64_t count = p.k - begin < layout.group ? p.k - begin : layout.group;
    const char* bytes = group + layout.header_bytes;
    __m256 part[P][R][2];
    clear<R, P>(part);
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) fetch<64, P>(group + q * apart);
    int64_t k = 0;
    for (; k + 4 <= count; k += 4) {
#pragma GCC unroll 4
      for (int q = 0; q < P; ++q) fetch<64, P>(bytes + q * apart);
#pragma GCC unroll 4
      for (int i = 0; i < 4; ++i, bytes += kPanel)
        add_column<Code, R, P>(x + begin + k + i, p.x_stride, bytes, apart, part);
    }
    for (; k < count; ++k, bytes += kPanel) add_column<Code, R, P>(x + begin + k, p.x_stride, bytes, apart, part);
    add_group<Code, R, P>(group, apart, part, sum);
  }
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) {
    const int64_t column = (panel + q) * kPanel;
    const Epilogue epilogue =
        epilogue_of(nullptr, p.bias != nullptr ? p.bias + column : nullptr, p.n - column, p.accumulate);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r)
#pragma GCC unroll 2
      for (int half = 0; half < 2; ++half) store(epilogue, out_of(p, row + r, panel + q), half, sum[q][r][half]);
  }
}

template <typename Code>
void run_fp8_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  using Stream = void (*)(const LinearProblem&, int64_t, int64_t);
  static const Stream kOne[kStreamRows] = {stream_panels<Code, 1, 1>, stream_panels<Code, 2, 1>,
                                           stream_panels<Code, 3, 1>, stream_panels<Code, 4, 1>};
  int64_t panel = panel_begin;
  if (p.m == 1)
    for (; panel + 4 <= panel_end; panel += 4) stream_panels<Code, 1, 4>(p, panel, 0);
  for (; panel < panel_end; ++panel)
    for (int64_t row = 0; row < p.m; row += kStreamRows)
      kOne[(p.m - row < kStreamRows ? p.m - row : kStreamRows) - 1](p, panel, row);
}

// 32 columns as f32 for the blocked loops.
template <typename Code>
struct Fp8Values {
  static constexpr int kBits = 8;
  static constexpr bool kZeros = false;
  static void unpack32(const char* codes, int half, const GroupHeader& h, float* out) {
    const __m256 factor = _mm256_mul_ps(h.scale, _mm256_set1_ps(Code::kUnit));
    for (int i = 0; i < kActivationGroup; ++i) {
      const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(codes + i * kPanel + half * 8));
      const __m256 value = _mm256_cvtph_ps(_mm256_castsi256_si128(Code::halves(bytes)));
      _mm256_storeu_ps(out + i * kPanel, _mm256_mul_ps(value, factor));
    }
  }
};

}  // namespace
}  // namespace espalier
