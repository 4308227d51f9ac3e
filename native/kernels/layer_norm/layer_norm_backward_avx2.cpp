// SPDX-License-Identifier: Apache-2.0
#include "kernels/layer_norm/layer_norm_backward_tile.h"
#include "kernels/vector_avx2.h"

// after the vectors they are written in
#include "kernels/layer_norm/layer_norm_vector.h"

// after mean_of and variance_of
#include "kernels/layer_norm/layer_norm_backward_vector.h"

namespace espalier {

void layer_norm_backward_avx2(const LayerNormBackwardRows& rows) { layer_norm_backward_rows(rows); }

}  // namespace espalier
