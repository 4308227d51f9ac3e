// matmul_int8g_int8_avx2: int8 in groups, with and without zero points.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/grouped_rows_avx2.h"
#include "kernels/matmul/grouped_tiles_avx2.h"

namespace espalier {

const LinearKernel matmul_int8g_int8_avx2 = {"matmul_int8g_int8_avx2",
                                             &stage_int8_groups_avx2,
                                             run_grouped_rows<Int8Codes<false>>,
                                             kGroupedRows,
                                             &stage_int16_groups_avx2,
                                             run_grouped_tiles<Int8Words<false>>,
                                             kTileRows,
                                             grouped_scratch_bytes};
const LinearKernel matmul_int8g_int8_zeros_avx2 = {"matmul_int8g_int8_zeros_avx2",
                                                   &stage_int8_groups_avx2,
                                                   run_grouped_rows<Int8Codes<true>>,
                                                   kGroupedRows,
                                                   &stage_int16_groups_avx2,
                                                   run_grouped_tiles<Int8Words<true>>,
                                                   kTileRows,
                                                   grouped_scratch_bytes};

}  // namespace espalier
