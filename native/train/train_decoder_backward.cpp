// The backward pass of TrainDecoder and both directions of its attention.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/attention_train/attention_train.h"
#include "kernels/embedding/embedding_backward.h"
#include "kernels/rms_norm/rms_norm_backward.h"
#include "kernels/swiglu/swiglu_backward.h"
#include "train/gradient_sums.h"
#include "train/train_decoder.h"

namespace espalier {
namespace {

float attention_scale(const ModelSpec& spec) { return 1.0f / std::sqrt(static_cast<float>(spec.head_dim)); }

}  // namespace

Status TrainDecoder::attention_forward(TrainContext& context, const BlockActivations& kept, const TrainBatch& batch) {
  const AttentionTrainArgs args{kept.qkv,
                                kept.qkv + q_width_,
                                kept.qkv + q_width_ + kv_width_,
                                qkv_width_,
                                qkv_width_,
                                qkv_width_,
                                kept.attention,
                                q_width_,
                                kept.lse,
                                batch.document_starts,
                                batch.sequences,
                                batch.length,
                                spec_.num_heads,
                                spec_.num_kv_heads,
                                spec_.head_dim,
                                attention_scale(spec_)};
  ESP_RETURN_IF_ERROR(context.workspace.reserve(attention_train_workspace_size(context.cpu, args)));
  return attention_train(context.cpu, args, context.workspace.as<void>(), context.workspace.size());
}

// dnormed becomes rms_norm's output, for the products that follow; dhidden_ gains the gradient of x.
Status TrainDecoder::norm_backward(TrainContext& context, Parameter* weight, const float* x, float* dnormed,
                                   int64_t tokens) {
  const int64_t hidden = spec_.hidden_size;
  const RmsNormBackwardArgs args{x,        hidden, weight->weight(),   dnormed, hidden,
                                 dhidden_, hidden, weight->gradient(), dnormed, hidden,
                                 tokens,   hidden, spec_.norm_eps};
  ESP_RETURN_IF_ERROR(context.workspace.reserve(rms_norm_backward_workspace_size(context.cpu, args)));
  return rms_norm_backward(context.cpu, args, context.workspace.as<void>(), context.workspace.size());
}

// num_layers when no block has anything to train.
int64_t TrainDecoder::lowest_trainable() const {
  if (embedding_->trainable) return 0;
  int64_t index = 0;
  for (const TrainLayer& layer : layers_) {
    if (layer.input_layernorm->trainable || layer.post_attention_layernorm->trainable) return index;
    for (const TrainLinear* linear : {&layer.qkv, &layer.o_proj, &layer.gate_up, &layer.down_proj})
      if (linear->trainable()) return index;
    ++index;
  }
  return index;
}

Status TrainDecoder::backward(TrainContext& context, const TrainBatch& batch, bool whole, HiddenObserver* observer) {
  const int64_t lowest = whole ? 0 : lowest_trainable();
  for (int64_t i = spec_.num_layers; i-- > lowest;) {
    ESP_RETURN_IF_ERROR(check_stop(context));
    // What the stream held after this block still stands in hidden(i + 1).
    if (observer != nullptr)
      ESP_RETURN_IF_ERROR(observer->add_gradient(context, batch, i, activations_.hidden(i + 1), dhidden_));
    ESP_RETURN_IF_ERROR(block_backward(context, i, batch));
    if (context.sums != nullptr) ESP_RETURN_IF_ERROR(context.sums->layer_ready(i));
  }
  if (lowest > 0) return Status::ok();
  if (observer != nullptr)
    ESP_RETURN_IF_ERROR(observer->add_gradient(context, batch, -1, activations_.hidden(0), dhidden_));
  if (!embedding_->trainable) return Status::ok();
  return embedding_backward(context.cpu, {batch.tokens, batch.token_count(), dhidden_, spec_.hidden_size,
                                          embedding_->gradient(), spec_.vocab_size, spec_.hidden_size});
}

// On entry dhidden_ is the gradient of the block's output, afterwards that of its input.
Status TrainDecoder::block_backward(TrainContext& context, int64_t index, const TrainBatch& batch) {
  const TrainLayer& layer = layers_[static_cast<size_t>(index)];
  const BlockActivations& kept = activations_.block(index);
  bool computed;
  ESP_RETURN_IF_ERROR(activations_.restore(context, index, batch.token_count(), &computed));
  const float* in = activations_.hidden(index);
  if (!computed) ESP_RETURN_IF_ERROR(block_body(context, index, in, batch));
  ESP_RETURN_IF_ERROR(mlp_backward(context, layer, kept, batch.token_count()));
  return attention_backward(context, layer, kept, in, batch);
}

Status TrainDecoder::mlp_backward(TrainContext& context, const TrainLayer& layer, const BlockActivations& kept,
                                  int64_t tokens) {
  const int64_t hidden = spec_.hidden_size, ffn = spec_.intermediate_size;
  float *gate = kept.gate_up, *up = kept.gate_up + ffn;
  ESP_RETURN_IF_ERROR(linear_backward_input(context, layer.down_proj, dhidden_, hidden, gated_, ffn, tokens));
  // gate and up become their gradients, gated_ the output of the gating
  ESP_RETURN_IF_ERROR(swiglu_backward(context.cpu, {gate, up, gated_, gate, up, gated_, 2 * ffn, ffn, tokens, ffn}));
  ESP_RETURN_IF_ERROR(linear_backward_weight(context, layer.down_proj, gated_, ffn, dhidden_, hidden, tokens));
  ESP_RETURN_IF_ERROR(linear_backward_input(context, layer.gate_up, kept.gate_up, 2 * ffn, normed_, hidden, tokens));
  ESP_RETURN_IF_ERROR(norm_backward(context, layer.post_attention_layernorm, kept.middle, normed_, tokens));
  return linear_backward_weight(context, layer.gate_up, normed_, hidden, kept.gate_up, 2 * ffn, tokens);
}

Status TrainDecoder::attention_backward(TrainContext& context, const TrainLayer& layer, const BlockActivations& kept,
                                        const float* in, const TrainBatch& batch) {
  const int64_t tokens = batch.token_count(), hidden = spec_.hidden_size;
  ESP_RETURN_IF_ERROR(linear_backward_input(context, layer.o_proj, dhidden_, hidden, dattention_, q_width_, tokens));
  ESP_RETURN_IF_ERROR(
      linear_backward_weight(context, layer.o_proj, kept.attention, q_width_, dhidden_, hidden, tokens));
  const AttentionBackwardArgs args{kept.qkv,
                                   kept.qkv + q_width_,
                                   kept.qkv + q_width_ + kv_width_,
                                   qkv_width_,
                                   qkv_width_,
                                   qkv_width_,
                                   kept.attention,
                                   q_width_,
                                   kept.lse,
                                   batch.document_starts,
                                   batch.sequences,
                                   batch.length,
                                   spec_.num_heads,
                                   spec_.num_kv_heads,
                                   spec_.head_dim,
                                   attention_scale(spec_),
                                   dattention_,
                                   q_width_,
                                   dqkv_,
                                   dqkv_ + q_width_,
                                   dqkv_ + q_width_ + kv_width_,
                                   qkv_width_,
                                   qkv_width_,
                                   qkv_width_};
  ESP_RETURN_IF_ERROR(context.workspace.reserve(attention_backward_workspace_size(context.cpu, args)));
  ESP_RETURN_IF_ERROR(
      espalier::attention_backward(context.cpu, args, context.workspace.as<void>(), context.workspace.size()));
  ESP_RETURN_IF_ERROR(rotate(context, dqkv_, tokens, true));
  ESP_RETURN_IF_ERROR(linear_backward_input(context, layer.qkv, dqkv_, qkv_width_, normed_, hidden, tokens));
  ESP_RETURN_IF_ERROR(norm_backward(context, layer.input_layernorm, in, normed_, tokens));
  return linear_backward_weight(context, layer.qkv, normed_, hidden, dqkv_, qkv_width_, tokens);
}

}  // namespace espalier
