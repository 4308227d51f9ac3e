// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention/attention_tile.h"
#include "kernels/vector_avx2.h"

namespace espalier {
namespace {
constexpr int kBlockRows = 6;  // 12 of the 16 registers hold sums
}
}  // namespace espalier

// after the vectors and the block size they are written in
#include "kernels/attention/attention_blocks.h"

// after the blocks
#include "kernels/attention/attention_vector.h"

namespace espalier {

void attention_tile_avx2(const AttentionTile& tile) { attend_any(tile); }

}  // namespace espalier
