// SPDX-License-Identifier: Apache-2.0
#include "kernels/adamw/adamw_tile.h"
#include "kernels/vector_avx512.h"

// after the vectors it is written in
#include "kernels/adamw/adamw_vector.h"

namespace espalier {

const AdamwTile adamw_tile_avx512 = {vector_update, vector_squares};

}  // namespace espalier
