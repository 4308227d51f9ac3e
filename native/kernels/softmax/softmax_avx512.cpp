// SPDX-License-Identifier: Apache-2.0
#include "kernels/softmax/softmax_tile.h"
#include "kernels/vector_avx512.h"

// after the vectors it is written in
#include "kernels/softmax/softmax_vector.h"

namespace espalier {

const SoftmaxTile softmax_tile_avx512 = {vector_row_max, vector_exp_sum, vector_multiply};

}  // namespace espalier
