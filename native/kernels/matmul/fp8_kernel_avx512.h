// Grouped fp8 codes (quant/grouped_layout.h) against f32 activations on AVX-512. A code becomes an f16 by shifts, e4m3
// as 2^-8 of its value (f16's exponent bias is 8 larger; subnormals stay exact), which the scale makes good. A Code
// type:
//   kUnit               what the f16 has to be multiplied with
//   halves(bytes)       32 bytes -> 32 f16
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/float_tiles_avx512.h"
#include "kernels/matmul/stream_fetch.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

constexpr int64_t kRowsLimit = 8;

struct E4M3 {
  static constexpr float kUnit = 256.0f;
  static __m512i halves(__m256i bytes) {
    const __m512i wide = _mm512_slli_epi16(_mm512_cvtepi8_epi16(bytes), 7);  // sign twice, then exponent
    return _mm512_and_si512(wide, _mm512_set1_epi16(static_cast<int16_t>(0xbfff)));
  }
};
struct E5M2 {
  static constexpr float kUnit = 1.0f;
  static __m512i halves(__m256i bytes) { return _mm512_slli_epi16(_mm512_cvtepi8_epi16(bytes), 8); }
};

// Two columns of k of 16 rows each.
template <typename Code>
inline void load_columns(const char* bytes, __m512 (&w)[2]) {
  const __m512i halves = Code::halves(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)));
  w[0] = _mm512_cvtph_ps(_mm512_castsi512_si256(halves));
  w[1] = _mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1));
}

// Adds columns [0, 2) of R rows against P panels; `both` false: the first alone.
template <typename Code, int R, int P>
inline void add_columns(const float* x, int64_t stride, const char* bytes, int64_t apart, bool both,
                        __m512 (&sum)[P][R]) {
  __m512 w[P][2];
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) load_columns<Code>(bytes + q * apart, w[q]);
#pragma GCC unroll 2
  for (int s = 0; s < 2; ++s) {
    if (s == 1 && !both) return;
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 value = _mm512_set1_ps(x[r * stride + s]);
#pragma GCC unroll 4
      for (int q = 0; q < P; ++q) sum[q][r] = _mm512_fmadd_ps(value, w[q][s], sum[q][r]);
    }
  }
}

// R rows of x against P adjacent panels.
template <typename Code, int R, int P>
void stream_panels(const LinearProblem& p, int64_t panel) {
  const GroupedLayout layout = grouped_layout(p.group, p.k, 8, false);
  const int64_t apart = grouped_panel_bytes(layout, p.k);
  const char* group = static_cast<const char*>(p.weight) + panel * apart;
  const float* x = static_cast<const float*>(p.x);
  __m512 sum[P][R];
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[q][r] = _mm512_setzero_ps();
  for (int64_t begin = 0; begin < p.k; begin += layout.group, group += layout.group_bytes) {
    const int64_t count = p.k - begin < layout.group ? p.k - begin : layout.group;
    const char* bytes = group + layout.header_bytes;
    __m512 part[P][R];
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) {
      fetch<64, P>(group + q * apart);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) part[q][r] = _mm512_setzero_ps();
    }
    int64_t k = 0;
    for (; k + 4 <= count; k += 4, bytes += 64) {
#pragma GCC unroll 4
      for (int q = 0; q < P; ++q) fetch<64, P>(bytes + q * apart);
      add_columns<Code, R, P>(x + begin + k, p.x_stride, bytes, apart, true, part);
      add_columns<Code, R, P>(x + begin + k + 2, p.x_stride, bytes + 32, apart, true, part);
    }
    for (; k < count; k += 2, bytes += 32)
      add_columns<Code, R, P>(x + begin + k, p.x_stride, bytes, apart, k + 1 < count, part);
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) {
      const __m512 scale = _mm512_mul_ps(_mm512_loadu_ps(group + q * apart), _mm512_set1_ps(Code::kUnit));
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sum[q][r] = _mm512_fmadd_ps(part[q][r], scale, sum[q][r]);
    }
  }
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) {
    const int64_t column = (panel + q) * kPanel;
    const Epilogue epilogue =
        epilogue_of(nullptr, p.bias != nullptr ? p.bias + column : nullptr, p.n - column, 0, p.accumulate);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) store(epilogue, out_of(p, r, panel + q), sum[q][r]);
  }
}

// Several panels at once where registers allow: each is a stream of its own to the prefetchers.
template <typename Code>
void run_fp8_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  struct Stream {
    int64_t panels;
    void (*several)(const LinearProblem&, int64_t);
    void (*one)(const LinearProblem&, int64_t);
  };
  static const Stream kStreams[kRowsLimit] = {{4, stream_panels<Code, 1, 4>, stream_panels<Code, 1, 1>},
                                              {2, stream_panels<Code, 2, 2>, stream_panels<Code, 2, 1>},
                                              {2, stream_panels<Code, 3, 2>, stream_panels<Code, 3, 1>},
                                              {2, stream_panels<Code, 4, 2>, stream_panels<Code, 4, 1>},
                                              {2, stream_panels<Code, 5, 2>, stream_panels<Code, 5, 1>},
                                              {2, stream_panels<Code, 6, 2>, stream_panels<Code, 6, 1>},
                                              {1, stream_panels<Code, 7, 1>, stream_panels<Code, 7, 1>},
                                              {1, stream_panels<Code, 8, 1>, stream_panels<Code, 8, 1>}};
  const Stream& stream = kStreams[p.m - 1];
  int64_t panel = panel_begin;
  for (; panel + stream.panels <= panel_end; panel += stream.panels) stream.several(p, panel);
  for (; panel < panel_end; ++panel) stream.one(p, panel);
}

// 32 columns as f32 for the blocked loops.
template <typename Code>
struct Fp8Values {
  static constexpr int kBits = 8;
  static constexpr bool kZeros = false;
  static void unpack32(const char* codes, __m512 scale, __m512, float* out) {
    const __m512 factor = _mm512_mul_ps(scale, _mm512_set1_ps(Code::kUnit));
#pragma GCC unroll 4
    for (int i = 0; i < kActivationGroup; i += 2) {
      __m512 w[2];
      load_columns<Code>(codes + i * kPanel, w);
      _mm512_store_ps(out + i * kPanel, _mm512_mul_ps(w[0], factor));
      _mm512_store_ps(out + (i + 1) * kPanel, _mm512_mul_ps(w[1], factor));
    }
  }
};

}  // namespace
}  // namespace espalier
