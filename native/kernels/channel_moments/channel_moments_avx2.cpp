// SPDX-License-Identifier: Apache-2.0
#include "kernels/channel_moments/channel_moments_tile.h"
#include "kernels/vector_avx2.h"

// after the vectors it is written in
#include "kernels/channel_moments/channel_moments_vector.h"

namespace espalier {

void channel_moments_tile_avx2(const float* x, int64_t ldx, int64_t rows, int64_t channels, float* sums) {
  moments_tile(x, ldx, rows, channels, sums);
}

}  // namespace espalier
