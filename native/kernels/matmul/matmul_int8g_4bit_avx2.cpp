// matmul_int8g_{int4,nf4,fp4,e2m1}_avx2: 4-bit codes in groups.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/grouped_rows_avx2.h"
#include "kernels/matmul/grouped_tiles_avx2.h"

namespace espalier {
namespace {

template <typename Codes, typename Words>
constexpr LinearKernel kernel_of(const char* name) {
  return {name,
          &stage_int8_groups_avx2,
          run_grouped_rows<Codes>,
          kGroupedRows,
          Words::kUnit == kNf4Unit14 ? &stage_int14_groups_avx2 : &stage_int16_groups_avx2,
          run_grouped_tiles<Words>,
          kTileRows,
          grouped_scratch_bytes};
}

}  // namespace

const LinearKernel matmul_int8g_int4_avx2 =
    kernel_of<Int4Codes<false>, TableWords<kInt4Values, 1>>("matmul_int8g_int4_avx2");
const LinearKernel matmul_int8g_int4_zeros_avx2 =
    kernel_of<Int4Codes<true>, TableWords<kInt4Values, 1, true>>("matmul_int8g_int4_zeros_avx2");
const LinearKernel matmul_int8g_nf4_avx2 =
    kernel_of<Nf4Codes, TableWords<kNf4Values, kNf4Unit14>>("matmul_int8g_nf4_avx2");
const LinearKernel matmul_int8g_fp4_avx2 =
    kernel_of<Fp4Codes, TableWords<kFp4Values, kFp4Unit>>("matmul_int8g_fp4_avx2");
const LinearKernel matmul_int8g_e2m1_avx2 =
    kernel_of<E2M1Codes, TableWords<kE2M1Values, kE2M1Unit>>("matmul_int8g_e2m1_avx2");

}  // namespace espalier
