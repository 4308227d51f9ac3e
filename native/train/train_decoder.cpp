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

TrainDecoder::TrainDecoder(const ModelSpec& spec, Parameters* parameters, ActivationOptions options, float lora_scale)
    : spec_(spec),
      q_width_(spec.num_heads * spec.head_dim),
      kv_width_(spec.num_kv_heads * spec.head_dim),
      qkv_width_(q_width_ + 2 * kv_width_),
      options_(options),
      rope_(spec),
      embedding_(parameters->find("embed_tokens", "weight", -1)),
      norm_(parameters->find("norm", "weight", -1)),
      layers_(static_cast<size_t>(spec.num_layers)),
      activations_(spec, options) {
  for (int64_t index = 0; index < spec.num_layers; ++index) {
    TrainLayer& layer = layers_[static_cast<size_t>(index)];
    layer.input_layernorm = parameters->find("input_layernorm", "weight", index);
    layer.post_attention_layernorm = parameters->find("post_attention_layernorm", "weight", index);
    for (const char* role : {"q_proj", "k_proj", "v_proj"}) add_part(layer.qkv, parameters, role, index, lora_scale);
    add_part(layer.o_proj, parameters, "o_proj", index, lora_scale);
    for (const char* role : {"gate_proj", "up_proj"}) add_part(layer.gate_up, parameters, role, index, lora_scale);
    add_part(layer.down_proj, parameters, "down_proj", index, lora_scale);
  }
  LinearPart head;
  head.weight = spec.tie_word_embeddings ? embedding_ : parameters->find("lm_head", "weight", -1);
  if (head.weight != nullptr) lm_head_.add(head);
}

void TrainDecoder::add_part(TrainLinear& linear, Parameters* parameters, const std::string& role, int64_t layer,
                            float lora_scale) {
  LinearPart part;
  part.weight = parameters->find(role.c_str(), "weight", layer);
  part.bias = parameters->find(role.c_str(), "bias", layer);
  part.lora_a = parameters->find((role + ".lora_A").c_str(), "weight", layer);
  part.lora_b = parameters->find((role + ".lora_B").c_str(), "weight", layer);
  part.lora_scale = lora_scale;
  linear.add(part);
}

LinearPart* TrainDecoder::find_part(const Parameter* weight) {
  for (TrainLayer& layer : layers_)
    for (TrainLinear* linear : {&layer.qkv, &layer.o_proj, &layer.gate_up, &layer.down_proj})
      for (LinearPart& part : linear->parts)
        if (part.weight == weight) return &part;
  return nullptr;
}

void TrainDecoder::carve(Arena& own, Arena& work, int64_t max_sequences, int64_t length) {
  const int64_t tokens = max_sequences * length;
  const auto take = [&](int64_t width) { return work.take<float>(static_cast<size_t>(tokens * width)); };
  max_length_ = length;
  activations_.carve(own, work, tokens);
  normed_ = take(spec_.hidden_size);
  gated_ = take(spec_.intermediate_size);
  if (options_.backward) {
    dhidden_ = take(spec_.hidden_size);
    dqkv_ = take(qkv_width_);
    dattention_ = take(q_width_);
  }
  const size_t table = static_cast<size_t>(length * rope_.half());
  positions_ = own.take<int32_t>(static_cast<size_t>(tokens));
  cos_ = own.take<float>(table);
  sin_ = own.take<float>(table);
  minus_sin_ = own.take<float>(table);
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
      std::memcpy(activations_.hidden(0) + row * spec_.hidden_size,
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

Status TrainDecoder::forward(TrainContext& context, const TrainBatch& batch, bool keep, HiddenObserver* observer) {
  const int64_t tokens = batch.token_count();
  fill_positions(batch);
  embed(context, batch);
  for (int64_t i = 0; i < spec_.num_layers; ++i) {
    if (i >= batch.skip_begin && i < batch.skip_end) continue;  // hidden(i) is hidden(i + 1) without a backward pass
    ESP_RETURN_IF_ERROR(check_stop(context));
    if (observer != nullptr) ESP_RETURN_IF_ERROR(observer->seen(context, batch, i - 1, activations_.hidden(i)));
    if (keep) ESP_RETURN_IF_ERROR(activations_.keep_input(context, i, tokens));
    ESP_RETURN_IF_ERROR(block_body(context, i, activations_.hidden(i), batch));
    if (keep) ESP_RETURN_IF_ERROR(activations_.keep_block(context, i, tokens));
    ESP_RETURN_IF_ERROR(block_output(context, i, activations_.hidden(i + 1), batch));
  }
  return observer != nullptr ? observer->seen(context, batch, spec_.num_layers - 1, output()) : Status::ok();
}

Status TrainDecoder::block(TrainContext& context, const TrainBatch& batch, int64_t index, const float* in, float* out) {
  const int64_t hidden = spec_.hidden_size;
  fill_positions(batch);
  ESP_RETURN_IF_ERROR(check_stop(context));
  ESP_RETURN_IF_ERROR(tap(context, batch, index, Tap::kBlockInput, in, hidden));
  ESP_RETURN_IF_ERROR(block_body(context, index, in, batch));
  ESP_RETURN_IF_ERROR(block_output(context, index, out, batch));
  return tap(context, batch, index, Tap::kBlockOutput, out, hidden);
}

Status TrainDecoder::block_body(TrainContext& context, int64_t index, const float* in, const TrainBatch& batch) {
  const TrainLayer& layer = layers_[static_cast<size_t>(index)];
  const BlockActivations& kept = activations_.block(index);
  const int64_t tokens = batch.token_count(), hidden = spec_.hidden_size, ffn = spec_.intermediate_size;
  ESP_RETURN_IF_ERROR(norm_forward(context, layer.input_layernorm, in, normed_, tokens));
  ESP_RETURN_IF_ERROR(tap(context, batch, index, Tap::kAttentionInput, normed_, hidden));
  ESP_RETURN_IF_ERROR(linear_forward(context, layer.qkv, normed_, hidden, nullptr, kept.qkv, qkv_width_, tokens));
  ESP_RETURN_IF_ERROR(rotate(context, kept.qkv, tokens, false));
  ESP_RETURN_IF_ERROR(attention_forward(context, kept, batch));
  ESP_RETURN_IF_ERROR(tap(context, batch, index, Tap::kAttentionOutput, kept.attention, q_width_));
  ESP_RETURN_IF_ERROR(linear_forward(context, layer.o_proj, kept.attention, q_width_, in, kept.middle, hidden, tokens));
  ESP_RETURN_IF_ERROR(norm_forward(context, layer.post_attention_layernorm, kept.middle, normed_, tokens));
  ESP_RETURN_IF_ERROR(tap(context, batch, index, Tap::kMlpInput, normed_, hidden));
  return linear_forward(context, layer.gate_up, normed_, hidden, nullptr, kept.gate_up, 2 * ffn, tokens);
}

Status TrainDecoder::block_output(TrainContext& context, int64_t index, float* out, const TrainBatch& batch) {
  const TrainLayer& layer = layers_[static_cast<size_t>(index)];
  const BlockActivations& kept = activations_.block(index);
  const int64_t tokens = batch.token_count(), ffn = spec_.intermediate_size;
  ESP_RETURN_IF_ERROR(swiglu(context.cpu, {kept.gate_up, kept.gate_up + ffn, gated_, 2 * ffn, ffn, tokens, ffn}));
  ESP_RETURN_IF_ERROR(tap(context, batch, index, Tap::kMlpProduct, gated_, ffn));
  return linear_forward(context, layer.down_proj, gated_, ffn, kept.middle, out, spec_.hidden_size, tokens);
}

}  // namespace espalier
