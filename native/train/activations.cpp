// SPDX-License-Identifier: Apache-2.0
#include "train/activations.h"

#include "kernels/bf16/bf16.h"

namespace espalier {

Activations::Activations(const ModelSpec& spec, ActivationOptions options)
    : layers_(spec.num_layers),
      hidden_width_(spec.hidden_size),
      q_width_(spec.num_heads * spec.head_dim),
      qkv_width_((spec.num_heads + 2 * spec.num_kv_heads) * spec.head_dim),
      ffn_(spec.intermediate_size),
      heads_(spec.num_heads),
      options_(options) {}

void Activations::take_block(Arena& work, int64_t tokens, BlockActivations* block) const {
  block->qkv = work.take<float>(static_cast<size_t>(tokens * qkv_width_));
  block->attention = work.take<float>(static_cast<size_t>(tokens * q_width_));
  block->lse = work.take<float>(static_cast<size_t>(tokens * heads_));
  block->middle = work.take<float>(static_cast<size_t>(tokens * hidden_width_));
  block->gate_up = work.take<float>(static_cast<size_t>(tokens * 2 * ffn_));
}

void Activations::carve(Arena& own, Arena& work, int64_t tokens) {
  const size_t layers = static_cast<size_t>(layers_);
  const size_t hidden = static_cast<size_t>(tokens * hidden_width_);
  const bool each_hidden = options_.backward && !options_.bf16, each_block = each_hidden && !options_.checkpointing;
  hidden_.assign(layers + 1, own.take<float>(hidden));
  for (size_t i = 1; each_hidden && i <= layers; ++i) hidden_[i] = own.take<float>(hidden);
  BlockActivations first;
  take_block(work, tokens, &first);
  blocks_.assign(layers, first);
  for (size_t i = 1; i < layers && each_block; ++i) take_block(work, tokens, &blocks_[i]);
  packed_hidden_.clear();
  packed_.clear();
  for (size_t i = 0; options_.backward && options_.bf16 && i < layers; ++i) {
    packed_hidden_.push_back(work.take<uint16_t>(hidden));
    if (!packs_blocks()) continue;
    if (i > 0) blocks_[i].lse = work.take<float>(static_cast<size_t>(tokens * heads_));
    if (i + 1 == layers) continue;  // it still stands there when the backward pass begins
    packed_.push_back({work.take<uint16_t>(static_cast<size_t>(tokens * qkv_width_)),
                       work.take<uint16_t>(static_cast<size_t>(tokens * q_width_)), work.take<uint16_t>(hidden),
                       work.take<uint16_t>(static_cast<size_t>(tokens * 2 * ffn_))});
  }
}

Status Activations::keep_input(TrainContext& context, int64_t i, int64_t tokens) {
  if (packed_hidden_.empty()) return Status::ok();
  return bf16_pack(context.cpu, hidden(i), packed_hidden_[static_cast<size_t>(i)], tokens * hidden_width_);
}

Status Activations::keep_block(TrainContext& context, int64_t i, int64_t tokens) {
  if (static_cast<size_t>(i) >= packed_.size()) return Status::ok();
  const BlockActivations& from = block(i);
  const PackedBlock& to = packed_[static_cast<size_t>(i)];
  ESP_RETURN_IF_ERROR(bf16_pack(context.cpu, from.qkv, to.qkv, tokens * qkv_width_));
  ESP_RETURN_IF_ERROR(bf16_pack(context.cpu, from.attention, to.attention, tokens * q_width_));
  ESP_RETURN_IF_ERROR(bf16_pack(context.cpu, from.middle, to.middle, tokens * hidden_width_));
  return bf16_pack(context.cpu, from.gate_up, to.gate_up, tokens * 2 * ffn_);
}

Status Activations::restore(TrainContext& context, int64_t i, int64_t tokens, bool* computed) {
  *computed = !options_.checkpointing || i + 1 == layers_;
  if (packed_hidden_.empty()) return Status::ok();
  ESP_RETURN_IF_ERROR(
      bf16_unpack(context.cpu, packed_hidden_[static_cast<size_t>(i)], hidden(i), tokens * hidden_width_));
  if (static_cast<size_t>(i) >= packed_.size()) return Status::ok();
  const PackedBlock& from = packed_[static_cast<size_t>(i)];
  const BlockActivations& to = block(i);
  ESP_RETURN_IF_ERROR(bf16_unpack(context.cpu, from.qkv, to.qkv, tokens * qkv_width_));
  ESP_RETURN_IF_ERROR(bf16_unpack(context.cpu, from.attention, to.attention, tokens * q_width_));
  ESP_RETURN_IF_ERROR(bf16_unpack(context.cpu, from.middle, to.middle, tokens * hidden_width_));
  return bf16_unpack(context.cpu, from.gate_up, to.gate_up, tokens * 2 * ffn_);
}

}  // namespace espalier
