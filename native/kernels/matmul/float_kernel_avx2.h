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
#include "kernels/matmul/float_tiles_avx2.h"
#include "kernels/matmul/linear_kernel.h"
#include "kernels/matmul/stream_fetch.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

constexpr int64_t kRowsLimit = 6;  // m that the streaming kernels take

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

// Weights as the blocked loops see them.
template <typename Weights>
struct SteppedBlocks {
  static constexpr bool kInPlace = Weights::kIsF32;
  static const char* at(const LinearProblem& p, int64_t panel, int64_t k) {
    return Weights::panel(p, panel) + k / Weights::kStep * Weights::kStepBytes;
  }
  static void unpack(const LinearProblem& p, int64_t panel, int64_t k, int64_t count, float* out) {
    const char* bytes = at(p, panel, k);
    for (int64_t i = 0; i < count; i += Weights::kStep) {
      __m256 w[2 * Weights::kStep];
      Weights::load(bytes, w);
      for (int v = 0; v < 2 * Weights::kStep; ++v) _mm256_storeu_ps(out + i * kPanel + v * 8, w[v]);
      bytes += Weights::kStepBytes;
    }
  }
  static const float* scale(const LinearProblem& p, int64_t panel) { return Weights::scale(p, panel); }
};

}  // namespace
}  // namespace espalier
