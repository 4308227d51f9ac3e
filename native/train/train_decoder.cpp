// SPDX-License-Identifier: Apache-2.0
#include "train/train_decoder.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/dispatch.h"
#include "kernels/embedding/embedding_backward.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rope/rope.h"
#include "kernels/swiglu/swiglu.h"

namespace espalier {

TrainDecoder::TrainDecoder(const ModelSpec& spec, Parameters* parameters)
    : spec_(spec),
      q_width_(spec.num_heads * spec.head_dim),
      kv_width_(spec.num_kv_heads * spec.head_dim),
      qkv_width_(q_width_ + 2 * kv_width_),
      rope_(spec),
      embedding_(parameters->find("embed_tokens", "weight", -1)),
      norm_(parameters->find("norm", "weight", -1)),
      layers_(static_cast<size_t>(spec.num_layers)) {
  for (int64_t index = 0; index < spec.num_layers; ++index) {
    TrainLayer& layer = layers_[static_cast<size_t>(index)];
    const auto add = [&](TrainLinear& linear, const char* role) {
      linear.add(parameters->find(role, "weight", index), parameters->find(role, "bias", index));
    };
    layer.input_layernorm = parameters->find("input_layernorm", "weight", index);
    layer.post_attention_layernorm = parameters->find("post_attention_layernorm", "weight", index);
    for (const char* role : {"q_proj", "k_proj", "v_proj"}) add(layer.qkv, role);
    add(layer.o_proj, "o_proj");
    for (const char* role : {"gate_proj", "up_proj"}) add(layer.gate_up, role);
    add(layer.down_proj, "down_proj");
  }
  Parameter* head = parameters->find("lm_head", "weight", -1);
  lm_head_.add(head != nullptr && !spec.tie_word_embeddings ? head : embedding_, nullptr);
}

size_t TrainDecoder::carve(Arena arena, int64_t max_sequences, int64_t length, bool backward) {
  const size_t tokens = static_cast<size_t>(max_sequences * length), layers = layers_.size();
  const size_t hidden = static_cast<size_t>(spec_.hidden_size), ffn = static_cast<size_t>(spec_.intermediate_size);
  hidden_.assign(layers + 1, nullptr);
  blocks_.assign(layers, {});
  for (size_t i = 0; i <= layers; ++i)
    hidden_[i] = backward || i == 0 ? arena.take<float>(tokens * hidden) : hidden_.front();
  for (size_t i = 0; i < layers; ++i) {
    BlockActivations& block = blocks_[i];
    block = blocks_.front();
    if (i > 0 && !backward) continue;
    block.qkv = arena.take<float>(tokens * static_cast<size_t>(qkv_width_));
    block.attention = arena.take<float>(tokens * static_cast<size_t>(q_width_));
    block.lse = arena.take<float>(tokens * static_cast<size_t>(spec_.num_heads));
    block.middle = arena.take<float>(tokens * hidden);
    block.gate_up = arena.take<float>(tokens * 2 * ffn);
  }
  normed_ = arena.take<float>(tokens * hidden);
  gated_ = arena.take<float>(tokens * ffn);
  if (backward) {
    dhidden_ = arena.take<float>(tokens * hidden);
    dqkv_ = arena.take<float>(tokens * static_cast<size_t>(qkv_width_));
    dattention_ = arena.take<float>(tokens * static_cast<size_t>(q_width_));
  }
  const size_t table = static_cast<size_t>(length * rope_.half());
  positions_ = arena.take<int32_t>(tokens);
  cos_ = arena.take<float>(table);
  sin_ = arena.take<float>(table);
  minus_sin_ = arena.take<float>(table);
  return arena.used();
}

Status TrainDecoder::reserve(int64_t max_sequences, int64_t length, bool backward) {
  ESP_RETURN_IF_ERROR(activations_.reserve(carve(Arena(), max_sequences, length, backward)));
  carve(Arena(activations_.as<void>(), activations_.size()), max_sequences, length, backward);
  max_length_ = length;
  return Status::ok();
}

// Positions begin anew with each document. Dynamic rotary scaling sees the longest document, as transformers does.
void TrainDecoder::fill_positions(const TrainBatch& batch) {
  int32_t last = 0;
  for (int64_t row = 0; row < batch.token_count(); ++row) {
    const int32_t place = static_cast<int32_t>(row % batch.length);
    positions_[row] = place - (batch.document_starts != nullptr ? batch.document_starts[row] : 0);
    last = std::max(last, positions_[row]);
  }
  const int64_t length = last + 1;
  const bool same = rope_length_ > 0 && (length == rope_length_ ||
                                         (!rope_.depends_on_length(length) && !rope_.depends_on_length(rope_length_)));
  if (same) return;
  rope_length_ = length;
  rope_.fill(0, max_length_, length, cos_, sin_);
  for (int64_t i = 0; i < max_length_ * rope_.half(); ++i) minus_sin_[i] = -sin_[i];
}

void TrainDecoder::embed(TrainContext& context, const TrainBatch& batch) {
  const size_t bytes = static_cast<size_t>(spec_.hidden_size) * sizeof(float);
  for_row_ranges(context.cpu, batch.token_count(), spec_.hidden_size, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      std::memcpy(hidden_.front() + row * spec_.hidden_size,
                  embedding_->weight() + batch.tokens[row] * spec_.hidden_size, bytes);
  });
}

Status TrainDecoder::norm_forward(TrainContext& context, const Parameter* weight, const float* x, float* out,
                                  int64_t tokens) {
  return rms_norm(context.cpu, {x, spec_.hidden_size, weight->weight(), out, spec_.hidden_size, tokens,
                                spec_.hidden_size, spec_.norm_eps});
}

Status TrainDecoder::rotate(TrainContext& context, float* qkv, int64_t tokens, bool inverse) {
  const RopeArgs args{qkv,
                      qkv_width_,
                      tokens,
                      spec_.num_heads + spec_.num_kv_heads,
                      spec_.head_dim,
                      rope_.half(),
                      positions_,
                      cos_,
                      inverse ? minus_sin_ : sin_,
                      max_length_,
                      spec_.rope.interleaved};
  return rope(context.cpu, args);
}

Status TrainDecoder::forward(TrainContext& context, const TrainBatch& batch, bool keep) {
  fill_positions(batch);
  embed(context, batch);
  for (size_t i = 0; i < layers_.size(); ++i)
    ESP_RETURN_IF_ERROR(block_forward(context, layers_[i], blocks_[i], hidden_[i], hidden_[i + 1], batch));
  return Status::ok();
}

Status TrainDecoder::block_forward(TrainContext& context, const TrainLayer& layer, const BlockActivations& kept,
                                   const float* in, float* out, const TrainBatch& batch) {
  const int64_t tokens = batch.token_count(), hidden = spec_.hidden_size, ffn = spec_.intermediate_size;
  ESP_RETURN_IF_ERROR(norm_forward(context, layer.input_layernorm, in, normed_, tokens));
  ESP_RETURN_IF_ERROR(linear_forward(context, layer.qkv, normed_, hidden, nullptr, kept.qkv, qkv_width_, tokens));
  ESP_RETURN_IF_ERROR(rotate(context, kept.qkv, tokens, false));
  ESP_RETURN_IF_ERROR(attention_forward(context, kept, batch));
  ESP_RETURN_IF_ERROR(linear_forward(context, layer.o_proj, kept.attention, q_width_, in, kept.middle, hidden, tokens));
  ESP_RETURN_IF_ERROR(norm_forward(context, layer.post_attention_layernorm, kept.middle, normed_, tokens));
  ESP_RETURN_IF_ERROR(linear_forward(context, layer.gate_up, normed_, hidden, nullptr, kept.gate_up, 2 * ffn, tokens));
  ESP_RETURN_IF_ERROR(swiglu(context.cpu, {kept.gate_up, kept.gate_up + ffn, gated_, 2 * ffn, ffn, tokens, ffn}));
  return linear_forward(context, layer.down_proj, gated_, ffn, kept.middle, out, hidden, tokens);
}

}  // namespace espalier
