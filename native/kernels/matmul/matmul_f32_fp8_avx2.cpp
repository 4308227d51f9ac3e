// matmul_{f32,fp8,fp8g}_e4m3_avx2, matmul_f32_e5m2_avx2: they differ in the stage alone.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/fp8_kernel_avx2.h"

namespace espalier {
namespace {

template <typename Code>
constexpr LinearKernel kernel_of(const char* name, const ActivationStage* rows, const ActivationStage* tiles) {
  return {name,
          rows,
          run_fp8_rows<Code>,
          kGroupedRows,
          tiles,
          run_tiles<GroupedBlocks<Fp8Values<Code>>>,
          kTileRowsAvx2,
          float_scratch_bytes};
}

}  // namespace

const LinearKernel matmul_f32_e4m3_avx2 = kernel_of<E4M3>("matmul_f32_e4m3_avx2", nullptr, &stage_f32_avx2);
const LinearKernel matmul_f32_e5m2_avx2 = kernel_of<E5M2>("matmul_f32_e5m2_avx2", nullptr, &stage_f32_avx2);
const LinearKernel matmul_fp8_e4m3_avx2 = kernel_of<E4M3>("matmul_fp8_e4m3_avx2", &stage_fp8_avx2, &stage_fp8_avx2);
const LinearKernel matmul_fp8g_e4m3_avx2 =
    kernel_of<E4M3>("matmul_fp8g_e4m3_avx2", &stage_fp8_groups_avx2, &stage_fp8_groups_avx2);

}  // namespace espalier
