// SPDX-License-Identifier: Apache-2.0
#include "kernels/bias/bias_tile.h"
#include "kernels/vector_avx2.h"

// after the vectors it is written in
#include "kernels/bias/bias_vector.h"

namespace espalier {

const BiasTile bias_tile_avx2 = {vector_add, vector_column_sums};

}  // namespace espalier
