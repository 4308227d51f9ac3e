// SPDX-License-Identifier: Apache-2.0
#include "kernels/layer_norm/layer_norm_tile.h"
#include "kernels/vector_avx2.h"

// after the vectors it is written in
#include "kernels/layer_norm/layer_norm_vector.h"

namespace espalier {

void layer_norm_avx2(const float* x, int64_t ldx, const float* weight, const float* bias, float* out, int64_t ldo,
                     int64_t rows, int64_t hidden, float eps) {
  layer_norm_rows(x, ldx, weight, bias, out, ldo, rows, hidden, eps);
}

}  // namespace espalier
