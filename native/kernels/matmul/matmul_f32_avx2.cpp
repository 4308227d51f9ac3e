// matmul_f32_{f32,f16,int8}_avx2 and matmul_bf16_bf16_avx2: f32 arithmetic over weights widened on the fly.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/float_kernel_avx2.h"

namespace espalier {
namespace {

struct WeightsF32 {
  static constexpr bool kIsF32 = true;
  static constexpr int kStep = 1;
  static constexpr int kStepBytes = 64;
  static const char* panel(const LinearProblem& p, int64_t index) {
    return static_cast<const char*>(p.weight) + index * panel_bytes_f32(p.k);
  }
  static void load(const char* bytes, __m256* w) {
    w[0] = _mm256_loadu_ps(reinterpret_cast<const float*>(bytes));
    w[1] = _mm256_loadu_ps(reinterpret_cast<const float*>(bytes) + 8);
  }
  static const float* scale(const LinearProblem&, int64_t) { return nullptr; }
};

struct WeightsF16 {
  static constexpr bool kIsF32 = false;
  static constexpr int kStep = 1;
  static constexpr int kStepBytes = 32;
  static const char* panel(const LinearProblem& p, int64_t index) {
    return static_cast<const char*>(p.weight) + index * panel_bytes_f16(p.k);
  }
  static void load(const char* bytes, __m256* w) {
    w[0] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes)));
    w[1] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bytes + 16)));
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
  static void load(const char* bytes, __m256* w) {
    const __m256i upper = _mm256_set1_epi32(static_cast<int>(0xffff0000u));
    for (int half = 0; half < 2; ++half) {
      const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(bytes + 32 * half));
      w[half] = _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
      w[2 + half] = _mm256_castsi256_ps(_mm256_and_si256(pairs, upper));
    }
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
  static void load(const char* bytes, __m256* w) {
    w[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes))));
    w[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(bytes + 8))));
  }
  static const float* scale(const LinearProblem& p, int64_t panel) {
    return reinterpret_cast<const float*>(static_cast<const char*>(p.weight) + scale_offset_int8(p.n, p.k)) +
           panel * kPanel;
  }
};

}  // namespace

const LinearKernel matmul_f32_f32_avx2 = {"matmul_f32_f32_avx2", nullptr,
                                          run_rows<WeightsF32>,  kRowsLimit,
                                          &stage_f32_avx2,       run_tiles<SteppedBlocks<WeightsF32>>,
                                          kTileRowsAvx2,         float_scratch_bytes};
const LinearKernel matmul_f32_f16_avx2 = {"matmul_f32_f16_avx2", nullptr,
                                          run_rows<WeightsF16>,  kRowsLimit,
                                          &stage_f32_avx2,       run_tiles<SteppedBlocks<WeightsF16>>,
                                          kTileRowsAvx2,         float_scratch_bytes};
const LinearKernel matmul_bf16_bf16_avx2 = {"matmul_bf16_bf16_avx2", &stage_bf16_as_f32_avx2,
                                            run_rows<WeightsBF16>,   kRowsLimit,
                                            &stage_bf16_as_f32_avx2, run_tiles<SteppedBlocks<WeightsBF16>>,
                                            kTileRowsAvx2,           float_scratch_bytes};
const LinearKernel matmul_f32_int8_avx2 = {"matmul_f32_int8_avx2", nullptr,
                                           run_rows<WeightsInt8>,  kRowsLimit,
                                           &stage_f32_avx2,        run_tiles<SteppedBlocks<WeightsInt8>>,
                                           kTileRowsAvx2,          float_scratch_bytes};

}  // namespace espalier
