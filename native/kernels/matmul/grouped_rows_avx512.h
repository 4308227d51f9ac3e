// Few rows of int8 in groups of 32 against grouped codes (quant/grouped_layout.h) on AVX-512 VNNI: integer sums of 32
// products are exact; each is scaled by its group of x and its group of weights. Only ISA files include this;
// everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/epilogue_avx512.h"
#include "kernels/matmul/grouped_codes_avx512.h"
#include "kernels/matmul/linear_kernel.h"
#include "kernels/matmul/stream_fetch.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

// Scales and zero points of a group, of P panels.
template <int P>
struct GroupHeader {
  __m512 scale[P], zero[P];
};

// 32 values of k of R rows against P panels, `apart` bytes from each other.
template <typename Codes, int R, int P>
inline void add_block(const uint32_t* x, int64_t stride, const char* bytes, int64_t apart, const GroupHeader<P>& header,
                      __m512 (&sum)[P][R]) {
  constexpr int kPlanes = Codes::kPlanes;
  __m512i dots[P][R][kPlanes];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const __m512i start = _mm512_set1_epi32(-Codes::kOffset * static_cast<int32_t>(x[r * stride + 1]));
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) {
      dots[q][r][0] = start;
      if (kPlanes == 2) dots[q][r][kPlanes - 1] = _mm512_setzero_si512();
    }
  }
#pragma GCC unroll 8
  for (int step = 0; step < 8 / Codes::kParts; ++step) {
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) fetch<64, P>(bytes + q * apart + step * 64);
#pragma GCC unroll 2
    for (int part = 0; part < Codes::kParts; ++part) {
      __m512i w[P][kPlanes];
#pragma GCC unroll 4
      for (int q = 0; q < P; ++q) Codes::part(_mm512_loadu_si512(bytes + q * apart + step * 64), part, w[q]);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) {
        const __m512i value = _mm512_set1_epi32(static_cast<int>(x[r * stride + 2 + step * Codes::kParts + part]));
#pragma GCC unroll 4
        for (int q = 0; q < P; ++q)
#pragma GCC unroll 2
          for (int plane = 0; plane < kPlanes; ++plane)
            dots[q][r][plane] = _mm512_dpbusd_epi32(dots[q][r][plane], w[q][plane], value);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) {
    const __m512 x_scale = _mm512_castsi512_ps(_mm512_set1_epi32(static_cast<int>(x[r * stride])));
    const __m512 x_sum = _mm512_set1_ps(static_cast<float>(static_cast<int32_t>(x[r * stride + 1])));
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) {
      __m512i whole = dots[q][r][0];
      if (kPlanes == 2) whole = _mm512_add_epi32(whole, _mm512_slli_epi32(dots[q][r][kPlanes - 1], Codes::kShift));
      __m512 value = _mm512_cvtepi32_ps(whole);
      if (Codes::kZeros) value = _mm512_fnmadd_ps(header.zero[q], x_sum, value);
      sum[q][r] = _mm512_fmadd_ps(value, _mm512_mul_ps(x_scale, header.scale[q]), sum[q][r]);
    }
  }
}

template <typename Codes, int R, int P>
void store_panels(const LinearProblem& p, int64_t panel, const __m512 (&sum)[P][R]) {
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) {
    const int64_t column = (panel + q) * kPanel;
    const Epilogue epilogue =
        epilogue_of(nullptr, p.bias != nullptr ? p.bias + column : nullptr, p.n - column, 0, p.accumulate);
    float* out = p.out - p.out_row * p.ldo + (column - p.out_panel * kPanel);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r)
      store(epilogue, out + r * p.ldo, _mm512_mul_ps(sum[q][r], _mm512_set1_ps(1.0f / Codes::kUnit)));
  }
}

// R rows of x against P adjacent panels.
template <typename Codes, int R, int P>
void stream_panels(const LinearProblem& p, int64_t panel) {
  constexpr int64_t kBlockBytes = kActivationGroup * kPanel * Codes::kBits / 8;
  const GroupedLayout layout = grouped_layout(p.group, p.k, Codes::kBits, Codes::kZeros);
  const int64_t apart = grouped_panel_bytes(layout, p.k);
  const int64_t blocks = ceil_div(p.k, kActivationGroup);
  const int64_t group_blocks = layout.group / kActivationGroup;
  const char* bytes = static_cast<const char*>(p.weight) + panel * apart;
  const uint32_t* x = static_cast<const uint32_t*>(p.x);
  __m512 sum[P][R];
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sum[q][r] = _mm512_setzero_ps();
  for (int64_t block = 0; block < blocks;) {
    GroupHeader<P> header;
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) {
      fetch<Codes::kZeros ? 128 : 64, P>(bytes + q * apart);
      header.scale[q] = _mm512_loadu_ps(bytes + q * apart);
      if (Codes::kZeros) header.zero[q] = _mm512_loadu_ps(bytes + q * apart + 64);
    }
    bytes += Codes::kZeros ? 128 : 64;
    const int64_t end = block + group_blocks < blocks ? block + group_blocks : blocks;
    for (; block < end; ++block, x += kGroupWords, bytes += kBlockBytes)
      add_block<Codes, R, P>(x, p.x_stride, bytes, apart, header, sum);
  }
  store_panels<Codes, R, P>(p, panel, sum);
}

// Several panels at once where registers allow: each is a stream of its own to the prefetchers.
template <typename Codes>
void run_grouped_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  struct Stream {
    int64_t panels;
    void (*several)(const LinearProblem&, int64_t);
    void (*one)(const LinearProblem&, int64_t);
  };
  constexpr int kFew = Codes::kPlanes == 2 ? 2 : 4, kMany = Codes::kPlanes == 2 ? 1 : 2;
  static const Stream kStreams[kGroupedRows] = {{4, stream_panels<Codes, 1, 4>, stream_panels<Codes, 1, 1>},
                                                {kFew, stream_panels<Codes, 2, kFew>, stream_panels<Codes, 2, 1>},
                                                {2, stream_panels<Codes, 3, 2>, stream_panels<Codes, 3, 1>},
                                                {2, stream_panels<Codes, 4, 2>, stream_panels<Codes, 4, 1>},
                                                {kMany, stream_panels<Codes, 5, kMany>, stream_panels<Codes, 5, 1>},
                                                {kMany, stream_panels<Codes, 6, kMany>, stream_panels<Codes, 6, 1>},
                                                {1, stream_panels<Codes, 7, 1>, stream_panels<Codes, 7, 1>},
                                                {1, stream_panels<Codes, 8, 1>, stream_panels<Codes, 8, 1>}};
  const Stream& stream = kStreams[p.m - 1];
  int64_t panel = panel_begin;
  for (; panel + stream.panels <= panel_end; panel += stream.panels) stream.several(p, panel);
  for (; panel < panel_end; ++panel) stream.one(p, panel);
}

}  // namespace
}  // namespace espalier
