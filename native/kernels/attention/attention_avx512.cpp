// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention/attention_tile.h"
#include "kernels/vector_avx512.h"

namespace espalier {
namespace {
constexpr int kBlockRows = 12;  // 24 of the 32 registers hold sums
}
}  // namespace espalier

// after the vectors and the block size they are written in
#include "kernels/attention/attention_blocks.h"

// after the blocks
#include "kernels/attention/attention_vector.h"

namespace espalier {

void attention_tile_avx512(const AttentionTile& tile) { attend_any(tile); }

}  // namespace espalier
