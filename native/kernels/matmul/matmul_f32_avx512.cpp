// matmul_f32_{f32,f16,int8}_avx512 and matmul_bf16_bf16_avx512: f32 arithmetic over weights widened on the fly.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/float_kernel_avx512.h"

namespace espalier {
namespace {

struct WeightsF32 {
  static constexpr bool kIsF32 = true;
  static constexpr int kStep = 1;
  static constexpr int kStepBytes = 64;
  static const char* panel(const LinearProblem& p, int64_t index) {
    return static_cast<const char*>(p.weight) + index * panel_bytes_f32(p.k);
  }
  static void load(const char* bytes, __m512* w) { w[0] = _mm512_loadu_ps(bytes); }
  static const float* scale(const LinearProblem&, int64_t) { return nullptr; }
};

struct WeightsF16 {
  static constexpr bool kIsF32 = false;
  static constexpr int kStep = 1;
  static constexpr int kStepBytes = 32;
  static const char* panel(const LinearProblem& p, int64_t index) {
    return static_cast<const char*>(p.weight) + index * panel_bytes_f16(p.k);
  }
  static void load(const char* bytes, __m512* w) {
    w[0] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes)));
  }
  static const float* scale(const LinearProblem&, int64_t) { return nullptr; }
};

struct WeightsBF16 {
  static constexpr bool kIsF32 = false;
  static constexpr int kStep = 2;
  static constexpr int kStepBytes = 64;
  static const char* panel(const LinearProblem& p, int64_t index) {
    return static_cast<const char*>(p.weight) + index * panel_bytes_bf16(p.k);
  }
  static void load(const char* bytes, __m512* w) {
    const __m512i pairs = _mm512_loadu_si512(bytes);
    w[0] = _mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16));
    w[1] = _mm512_castsi512_ps(_mm512_and_si512(pairs, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
  }
  static const float* scale(const LinearProblem&, int64_t) { return nullptr; }
};

struct WeightsInt8 {
  static constexpr bool kIsF32 = false;
  static constexpr int kStep = 1;
  static constexpr int kStepBytes = 16;
  static const char* panel(const LinearProblem& p, int64_t index) {
    return static_cast<const char*>(p.weight) + index * panel_bytes_int8(p.k);
  }
  static void load(const char* bytes, __m512* w) {
    w[0] = _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes))));
  }
  static const float* scale(const LinearProblem& p, int64_t panel) {
    return reinterpret_cast<const float*>(static_cast<const char*>(p.weight) + scale_offset_int8(p.n, p.k)) +
           panel * kPanel;
  }
};

}  // namespace

const LinearKernel matmul_f32_f32_avx512 = {"matmul_f32_f32_avx512", nullptr,
                                            run_rows<WeightsF32>,    kRowsLimit,
                                            &stage_f32_avx512,       run_tiles<SteppedBlocks<WeightsF32>>,
                                            kTileRowsAvx512,         float_scratch_bytes};
const LinearKernel matmul_f32_f16_avx512 = {"matmul_f32_f16_avx512", nullptr,
                                            run_rows<WeightsF16>,    kRowsLimit,
                                            &stage_f32_avx512,       run_tiles<SteppedBlocks<WeightsF16>>,
                                            kTileRowsAvx512,         float_scratch_bytes};
const LinearKernel matmul_bf16_bf16_avx512 = {"matmul_bf16_bf16_avx512", &stage_bf16_as_f32_avx512,
                                              run_rows<WeightsBF16>,     kRowsLimit,
                                              &stage_bf16_as_f32_avx512, run_tiles<SteppedBlocks<WeightsBF16>>,
                                              kTileRowsAvx512,           float_scratch_bytes};
const LinearKernel matmul_f32_int8_avx512 = {"matmul_f32_int8_avx512", nullptr,
                                             run_rows<WeightsInt8>,    kRowsLimit,
                                             &stage_f32_avx512,        run_tiles<SteppedBlocks<WeightsInt8>>,
                                             kTileRowsAvx512,          float_scratch_bytes};

}  // namespace espalier
