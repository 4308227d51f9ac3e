// matmul_int8g_{int4,nf4,fp4,e2m1}_avx512: 4-bit codes in groups.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/grouped_blocks_avx512.h"
#include "kernels/matmul/grouped_rows_avx512.h"

namespace espalier {
namespace {

template <typename Codes, const float (&kTable)[16]>
constexpr LinearKernel kernel_of(const char* name) {
  using Blocks = GroupedBlocks<TableValues<kTable, Codes::kZeros>>;
  return {name,
          &stage_int8_groups_avx512,
          run_grouped_rows<Codes>,
          kGroupedRows,
          &stage_f32_avx512,
          run_tiles<Blocks>,
          kTileRowsAvx512,
          float_scratch_bytes};
}

}  // namespace

const LinearKernel matmul_int8g_int4_avx512 = kernel_of<Int4Codes<false>, kInt4Values>("matmul_int8g_int4_avx512");
const LinearKernel matmul_int8g_int4_zeros_avx512 =
    kernel_of<Int4Codes<true>, kInt4Values>("matmul_int8g_int4_zeros_avx512");
const LinearKernel matmul_int8g_nf4_avx512 = kernel_of<Nf4Codes, kNf4Values>("matmul_int8g_nf4_avx512");
const LinearKernel matmul_int8g_fp4_avx512 = kernel_of<Fp4Codes, kFp4Values>("matmul_int8g_fp4_avx512");
const LinearKernel matmul_int8g_e2m1_avx512 = kernel_of<E2M1Codes, kE2M1Values>("matmul_int8g_e2m1_avx512");

}  // namespace espalier
