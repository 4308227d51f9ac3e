// SPDX-License-Identifier: Apache-2.0
#include "kernels/vector_avx512.h"

// after the vectors it is written in
#include "kernels/distance/distance_vector.h"

namespace espalier {

const DistanceTile distance_tile_avx512 = {squares_pass, products_pass, combine_pass};

}  // namespace espalier
