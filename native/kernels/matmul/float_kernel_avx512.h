// The loops that f32, f16, bf16 (as f32) and int8 weight-only kernels share on AVX-512. A Weights type says how one
// step of a packed panel becomes f32 vectors:
//   kStep                        values of k per step (2 for bf16 pairs)
//   panel(problem, index)        first byte of a panel
//   kStepBytes                   bytes of a step
//   load(bytes, vectors)         kStep vectors of 16 columns
//   scale(problem, panel)        scales of the panel's columns, or nullptr
// Only ISA files include this; everything is local to the including file.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/epilogue_avx512.h"
#include "kernels/matmul/float_tiles_avx512.h"
#include "kernels/matmul/linear_kernel.h"
#include "kernels/matmul/stream_fetch.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

constexpr int64_t kRowsLimit = 8;  // m that the streaming kernels take

// Adds kStep values of k of R rows against P panels.
template <int R, int P, int kStep>
inline void add_step(const float* x, int64_t stride, int64_t count, const __m512 (&w)[P][kStep], __m512 (&acc)[P][R]) {
#pragma GCC unroll 2
  for (int s = 0; s < kStep && s < count; ++s)
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
      const __m512 value = _mm512_set1_ps(x[r * stride + s]);
#pragma GCC unroll 4
      for (int q = 0; q < P; ++q) acc[q][r] = _mm512_fmadd_ps(value, w[q][s], acc[q][r]);
    }
}

// R rows of x against P adjacent panels, U steps of k in flight.
template <typename Weights, int R, int P, int U>
void stream_panels(const LinearProblem& p, int64_t panel) {
  constexpr int kStep = Weights::kStep;
  constexpr int kBytes = Weights::kStepBytes;
  __m512 acc[U][P][R];
#pragma GCC unroll 8
  for (int u = 0; u < U; ++u)
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q)
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) acc[u][q][r] = _mm512_setzero_ps();
  const float* x = static_cast<const float*>(p.x);
  const char* bytes = Weights::panel(p, panel);
  const int64_t apart = Weights::panel(p, panel + 1) - bytes;
  int64_t k = 0;
  for (; k + kStep * U <= p.k; k += kStep * U) {
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) fetch<U * kBytes, P>(bytes + q * apart);
#pragma GCC unroll 8
    for (int u = 0; u < U; ++u) {
      __m512 w[P][kStep];
#pragma GCC unroll 4
      for (int q = 0; q < P; ++q) Weights::load(bytes + q * apart + u * kBytes, w[q]);
      add_step<R, P, kStep>(x + k + u * kStep, p.x_stride, kStep, w, acc[u]);
    }
    bytes += U * kBytes;
  }
  for (; k < p.k; k += kStep) {
    __m512 w[P][kStep];
#pragma GCC unroll 4
    for (int q = 0; q < P; ++q) Weights::load(bytes + q * apart, w[q]);
    add_step<R, P, kStep>(x + k, p.x_stride, p.k - k, w, acc[0]);
    bytes += kBytes;
  }
#pragma GCC unroll 4
  for (int q = 0; q < P; ++q) {
    const int64_t column = (panel + q) * kPanel;
    const Epilogue epilogue = epilogue_of(Weights::scale(p, panel + q), p.bias != nullptr ? p.bias + column : nullptr,
                                          p.n - column, 0, p.accumulate);
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) {
#pragma GCC unroll 8
      for (int u = 1; u < U; ++u) acc[0][q][r] = _mm512_add_ps(acc[0][q][r], acc[u][q][r]);
      store(epilogue, out_of(p, r, panel + q), acc[0][q][r]);
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
  static const Stream kStreams[kRowsLimit] = {{4, stream_panels<Weights, 1, 4, 2>, stream_panels<Weights, 1, 1, 8>},
                                              {4, stream_panels<Weights, 2, 4, 1>, stream_panels<Weights, 2, 1, 4>},
                                              {4, stream_panels<Weights, 3, 4, 1>, stream_panels<Weights, 3, 1, 4>},
                                              {4, stream_panels<Weights, 4, 4, 1>, stream_panels<Weights, 4, 1, 2>},
                                              {4, stream_panels<Weights, 5, 4, 1>, stream_panels<Weights, 5, 1, 2>},
                                              {4, stream_panels<Weights, 6, 4, 1>, stream_panels<Weights, 6, 1, 2>},
                                              {2, stream_panels<Weights, 7, 2, 1>, stream_panels<Weights, 7, 1, 2>},
                                              {2, stream_panels<Weights, 8, 2, 1>, stream_panels<Weights, 8, 1, 2>}};
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
      __m512 w[Weights::kStep];
      Weights::load(bytes, w);
      for (int s = 0; s < Weights::kStep; ++s) _mm512_store_ps(out + (i + s) * kPanel, w[s]);
      bytes += Weights::kStepBytes;
    }
  }
  static const float* scale(const LinearProblem& p, int64_t panel) { return Weights::scale(p, panel); }
};

}  // namespace
}  // namespace espalier
