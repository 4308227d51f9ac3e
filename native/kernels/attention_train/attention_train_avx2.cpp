// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention_train/attention_train_tile.h"
#include "kernels/matmul/interleave_avx2.h"
#include "kernels/vector_avx2.h"

namespace espalier {
namespace {
constexpr int kBlockRows = 6;  // 12 of the 16 registers hold sums
}
}  // namespace espalier

// after the vectors and the block size they are written in
#include "kernels/attention_train/attention_train_blocks.h"

// after the blocks
#include "kernels/attention_train/attention_backward_vector.h"
#include "kernels/attention_train/attention_train_vector.h"

namespace espalier {

const AttentionTrainTile attention_train_tile_avx2 = {pack_key_panel, forward_block, backward_range, vector_dot};

}  // namespace espalier
