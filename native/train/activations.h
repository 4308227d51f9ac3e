// Activations: what the blocks of a decoder keep for the backward pass, and where: everything, block inputs only
// (checkpointing), either of them as bfloat16, or nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "core/arena.h"
#include "model/model_spec.h"
#include "train/train_context.h"

namespace espalier {

// What a block keeps for its backward pass; the outputs of norms and gating are computed again.
struct BlockActivations {
  float* qkv = nullptr;        // [tokens, q + 2 kv], q and k rotated
  float* attention = nullptr;  // [tokens, q]
  float* lse = nullptr;        // [sequences, heads, length]
  float* middle = nullptr;     // [tokens, hidden] residual stream after attention
  float* gate_up = nullptr;    // [tokens, 2 ffn]
};

struct ActivationOptions {
  bool backward = false;
  bool checkpointing = false;
  bool bf16 = false;
};

class Activations {
 public:
  Activations(const ModelSpec& spec, ActivationOptions options);
  // The residual stream comes from `own`, all else from `work`.
  void carve(Arena& own, Arena& work, int64_t tokens);

  // Where the residual stream before block i is written, and i = layers: after the last. Without a backward pass of its
  // own memory, all are the same.
  float* hidden(int64_t i) const { return hidden_[static_cast<size_t>(i)]; }
  const BlockActivations& block(int64_t i) const { return blocks_[static_cast<size_t>(i)]; }

  // Forward, before and after block i.
  Status keep_input(TrainContext& context, int64_t i, int64_t tokens);
  Status keep_block(TrainContext& context, int64_t i, int64_t tokens);
  // Backward: hidden(i) and, when `*computed`, block(i) are as they were; otherwise the block has to run again. Blocks
  // are asked for from the last to the first.
  Status restore(TrainContext& context, int64_t i, int64_t tokens, bool* computed);

 private:
  // bfloat16 copies of a block, [count] each as in BlockActivations.
  struct PackedBlock {
    uint16_t *qkv = nullptr, *attention = nullptr, *middle = nullptr, *gate_up = nullptr;
  };
  void take_block(Arena& work, int64_t tokens, BlockActivations* block) const;
  bool packs_blocks() const { return options_.bf16 && !options_.checkpointing; }

  int64_t layers_, hidden_width_, q_width_, qkv_width_, ffn_, heads_;
  ActivationOptions options_;
  std::vector<float*> hidden_;            // [layers + 1]
  std::vector<BlockActivations> blocks_;  // [layers]
  std::vector<uint16_t*> packed_hidden_;  // [layers], bf16 only
  std::vector<PackedBlock> packed_;       // [layers - 1], bf16 without checkpointing only
};

}  // namespace espalier
