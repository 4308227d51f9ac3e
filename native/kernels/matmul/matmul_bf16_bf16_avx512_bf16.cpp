// matmul_bf16_bf16_avx512_bf16: vdpbf16ps over pairs of k.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/dot_kernel_avx512.h"
#include "kernels/matmul/interleave_avx512.h"

namespace espalier {
namespace {

constexpr int64_t kChunk = 256;  // words of each row converted at a time before they are interleaved

struct DotBF16 {
  static constexpr int64_t kWordValues = 2;
  using Sum = __m512;
  static Sum zero() { return _mm512_setzero_ps(); }
  static Sum load(const float* words) { return _mm512_load_ps(words); }
  static void save(float* words, Sum sum) { _mm512_store_ps(words, sum); }
  static Sum add(Sum a, Sum b) { return _mm512_add_ps(a, b); }
  static Sum dot(Sum sum, __m512i x, __m512i w) { return _mm512_dpbf16_ps(sum, (__m512bh)x, (__m512bh)w); }

  using Finish = Epilogue;
  static Finish finish_of(const LinearProblem& p, int64_t panel) {
    const int64_t column = panel * kPanel;
    return epilogue_of(nullptr, p.bias != nullptr ? p.bias + column : nullptr, p.n - column, 0, p.accumulate);
  }
  static void finish(const Finish& epilogue, Sum sum, const LinearProblem& p, int64_t row, int64_t panel) {
    store(epilogue, out_of(p, row, panel), sum);
  }
};

// x [count] -> ceil(count / 2) words of two bf16, the last padded with zero.
void round_row(const float* x, int64_t count, uint32_t* out) {
  for (int64_t i = 0; i < count; i += 16) {
    const __m256i pairs = (__m256i)_mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes(count - i), x + i));
    _mm256_mask_storeu_epi32(out + i / 2, static_cast<__mmask8>(lanes((count - i + 1) / 2)), pairs);
  }
}

void run_stage(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float*,
               float) {
  if (tile_rows == 1) return round_row(x, k, words);
  alignas(64) uint32_t chunk[16 * kChunk];
  for (int64_t i = 0; i < k; i += 2 * kChunk) {
    const int64_t count = k - i < 2 * kChunk ? k - i : 2 * kChunk;
    for (int64_t row = 0; row < rows; ++row) round_row(x + row * ldx + i, count, chunk + row * kChunk);
    interleave_rows(chunk, kChunk, rows, (count + 1) / 2, tile_rows, words + i / 2 * tile_rows);
  }
}

}  // namespace

const ActivationStage stage_bf16_avx512_bf16 = {words_of<2>, run_stage};

const LinearKernel matmul_bf16_bf16_avx512_bf16 = {
    "matmul_bf16_bf16_avx512_bf16", &stage_bf16_avx512_bf16, run_rows<DotBF16>, kRowsLimit,
    &stage_bf16_avx512_bf16,        run_tiles<DotBF16>,      kTileRows,         dot_scratch_bytes};

}  // namespace espalier
