// matmul_int8g_{int4,nf4,fp4,e2m1}_avx2: 4-bit codes in groups.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/grouped_blocks_avx2.h"
#include "kernels/matmul/grouped_rows_avx2.h"

namespace espalier {
namespace {

template <typename Codes, typename Values>
constexpr LinearKernel kernel_of(const char* name) {
  return {name,          &stage_int8_groups_avx2, run_grouped_rows<Codes>,
          kGroupedRows,  &stage_f32_avx2,         run_tiles<GroupedBlocks<Values>>,
          kTileRowsAvx2, float_scratch_bytes};
}

}  // namespace

const LinearKernel matmul_int8g_int4_avx2 = kernel_of<Int4Codes<false>, Int4Values<false>>("matmul_int8g_int4_avx2");
const LinearKernel matmul_int8g_int4_zeros_avx2 =
    kernel_of<Int4Codes<true>, Int4Values<true>>("matmul_int8g_int4_zeros_avx2");
const LinearKernel matmul_int8g_nf4_avx2 = kernel_of<Nf4Codes, TableValues<kNf4Values>>("matmul_int8g_nf4_avx2");
const LinearKernel matmul_int8g_fp4_avx2 = kernel_of<Fp4Codes, TableValues<kFp4Values>>("matmul_int8g_fp4_avx2");
const LinearKernel matmul_int8g_e2m1_avx2 = kernel_of<E2M1Codes, TableValues<kE2M1Values>>("matmul_int8g_e2m1_avx2");

}  // namespace espalier
