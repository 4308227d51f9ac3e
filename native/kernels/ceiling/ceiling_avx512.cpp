// Ceilings of AVX-512 with VNNI.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/ceiling/ceiling_loops_avx512.h"

namespace espalier {

const CeilingLoops ceiling_avx512 = {"ceiling_avx512",
                                     read,
                                     copy,
                                     {multiply_add, kChains * 16 * 2},
                                     {nullptr, 0},
                                     {{dot_int8, kChains * 64 * 2}, {nullptr, 0}}};

}  // namespace espalier
