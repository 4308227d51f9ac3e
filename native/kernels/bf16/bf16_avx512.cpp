// SPDX-License-Identifier: Apache-2.0
#include "kernels/bf16/bf16_tile.h"
#include "kernels/vector_avx512.h"

// after the vectors it is written in
#include "kernels/bf16/bf16_vector.h"

namespace espalier {

const Bf16Tile bf16_tile_avx512 = {vector_pack_bf16, vector_unpack_bf16};

}  // namespace espalier
