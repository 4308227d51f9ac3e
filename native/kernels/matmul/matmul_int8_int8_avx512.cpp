// matmul_int8_int8_avx512: vpdpbusd over activations offset by 128; 128 * (sum of the weights) is taken off at the end.
// Sums are exact modulo 2^32, and the true sum fits int32 (k <= 131072).
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/dot_kernel_avx512.h"

namespace espalier {
namespace {

struct DotInt8 {
  static constexpr int64_t kWordValues = 4;
  using Sum = __m512i;
  static Sum zero() { return _mm512_setzero_si512(); }
  static Sum load(const float* words) { return _mm512_load_si512(words); }
  static void save(float* words, Sum sum) { _mm512_store_si512(words, sum); }
  static Sum add(Sum a, Sum b) { return _mm512_add_epi32(a, b); }
  static Sum dot(Sum sum, __m512i x, __m512i w) { return _mm512_dpbusd_epi32(sum, x, w); }

  struct Finish {
    __m512i offset;  // 128 * sum of the weights
    __m512 scale;    // of the weights
    Epilogue epilogue;
  };
  static Finish finish_of(const LinearProblem& p, int64_t panel) {
    const char* blob = static_cast<const char*>(p.weight);
    const int64_t column = panel * kPanel;
    const float* scales = reinterpret_cast<const float*>(blob + scale_offset_int8_w8a8(p.n, p.k)) + column;
    const int32_t* sums = reinterpret_cast<const int32_t*>(blob + sum_offset_int8_w8a8(p.n, p.k)) + column;
    const float* bias = p.bias != nullptr ? p.bias + column : nullptr;
    return {_mm512_slli_epi32(_mm512_loadu_si512(sums), 7), _mm512_loadu_ps(scales),
            epilogue_of(nullptr, bias, p.n - column, 0, p.accumulate)};
  }
  static void finish(const Finish& f, Sum sum, const LinearProblem& p, int64_t row, int64_t panel) {
    const __m512 value = _mm512_cvtepi32_ps(_mm512_sub_epi32(sum, f.offset));
    const __m512 scale = _mm512_mul_ps(_mm512_set1_ps(p.x_scale[row]), f.scale);
    store(f.epilogue, out_of(p, row, panel), _mm512_mul_ps(value, scale));
  }
};

}  // namespace

const LinearKernel matmul_int8_int8_avx512 = {
    "matmul_int8_int8_avx512", &stage_uint8_avx512, run_rows<DotInt8>, kRowsLimit,
    &stage_uint8_avx512,       run_tiles<DotInt8>,  kTileRows,         dot_scratch_bytes};

}  // namespace espalier
