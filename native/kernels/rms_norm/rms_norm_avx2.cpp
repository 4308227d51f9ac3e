// SPDX-License-Identifier: Apache-2.0
#include "kernels/rms_norm/rms_norm_tile.h"
#include "kernels/vector_avx2.h"

// after the vectors it is written in
#include "kernels/rms_norm/rms_norm_vector.h"

namespace espalier {

void rms_norm_avx2(const float* x, int64_t ldx, const float* weight, float* out, int64_t ldo, int64_t rows,
                   int64_t hidden, float eps) {
  rms_norm_rows(x, ldx, weight, out, ldo, rows, hidden, eps);
}

}  // namespace espalier
