// SPDX-License-Identifier: Apache-2.0
#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <system_error>

#include "kernels/adamw/adamw.h"
#include "kernels/logit_loss/logit_loss.h"

namespace espalier {

Status Trainer::check_batch(const TrainBatch& batch) const {
  if (batch.sequences < 1 || batch.sequences > config_.max_sequences || batch.length < 1 ||
      batch.length > config_.sequence_length)
    return Status(
        "ERR_SHAPE",
        format_text("batch: expected 1 to %lld sequences of 1 to %lld tokens, found %lld of %lld",
                    static_cast<long long>(config_.max_sequences), static_cast<long long>(config_.sequence_length),
                    static_cast<long long>(batch.sequences), static_cast<long long>(batch.length)));
  const int64_t vocab = config_.model.spec.vocab_size;
  const auto bad = [&](const char* what, int64_t place, const char* expected, int32_t found) {
    return Status("ERR_TOKEN_ID",
                  format_text("%s[%lld]: expected 0 <= id < %lld%s, found %d", what, static_cast<long long>(place),
                              static_cast<long long>(vocab), expected, found));
  };
  for (int64_t i = 0; i < batch.token_count(); ++i) {
    const int32_t token = batch.tokens[i], label = batch.labels[i];
    if (token < 0 || token >= vocab) return bad("tokens", i, "", token);
    if (label != kIgnoredLabel && (label < 0 || label >= vocab)) return bad("labels", i, " or -100", label);
    if (batch.document_starts == nullptr) continue;
    const int32_t start = batch.document_starts[i];
    if (start < 0 || start > i % batch.length)
      return Status("ERR_ARGUMENT",
                    format_text("documentStarts[%lld]: expected 0 to %lld, the token's own place, found %d",
                                static_cast<long long>(i), static_cast<long long>(i % batch.length), start));
  }
  return Status::ok();
}

// That the batch brings what the losses compare; the loss itself checks the ids.
Status Trainer::check_top_logits(const TrainBatch& batch) const {
  if (config_.teacher_top == 0 || (batch.top_ids != nullptr && batch.top_values != nullptr)) return Status::ok();
  return Status("ERR_ARGUMENT",
                format_text("batch: expected topIds and topValues, %lld a token: the trainer has teacherTop",
                            static_cast<long long>(config_.teacher_top)));
}

Status Trainer::check_skip(const TrainBatch& batch, bool backward) const {
  if (backward && config_.forward_only) return Status("ERR_ARGUMENT", "accumulate: the trainer is forward only");
  if (batch.skip_begin == batch.skip_end) return Status::ok();
  if (!config_.forward_only) return Status("ERR_ARGUMENT", "skipLayers: only a trainer that is forward only can");
  const int64_t layers = config_.model.spec.num_layers;
  if (batch.skip_begin >= 0 && batch.skip_begin < batch.skip_end && batch.skip_end <= layers) return Status::ok();
  return Status("ERR_ARGUMENT", format_text("skipLayers: expected layers inside [0, %lld), found [%lld, %lld)",
                                            static_cast<long long>(layers), static_cast<long long>(batch.skip_begin),
                                            static_cast<long long>(batch.skip_end)));
}

Status Trainer::run(const TrainBatch& batch, bool backward, BatchLosses* losses) {
  ESP_RETURN_IF_ERROR(check_batch(batch));
  ESP_RETURN_IF_ERROR(check_skip(batch, backward));
  ESP_RETURN_IF_ERROR(check_top_logits(batch));
  *losses = {};
  losses->sums.assign(config_.losses.size(), 0.0);
  if (hidden_terms_ != nullptr) hidden_terms_->begin();
  if (teacher_ != nullptr) ESP_RETURN_IF_ERROR(teacher_->forward(context_, batch, false, teacher_states_.get()));
  ESP_RETURN_IF_ERROR(decoder_->forward(context_, batch, backward, hidden_terms_.get()));
  ESP_RETURN_IF_ERROR(head_->run(context_, batch, backward, losses));
  weigh_losses(losses);
  if (!backward) return Status::ok();
  if (sums_ != nullptr) sums_->expect_last(batch.last);
  const bool whole = hidden_terms_ != nullptr && hidden_terms_->projects();
  return decoder_->backward(context_, batch, whole, hidden_terms_.get());
}

void Trainer::weigh_losses(BatchLosses* losses) {
  double cross_entropy = 0, distillation = 0;
  for (size_t i = 0; i < config_.losses.size(); ++i) {
    const LossTerm& term = config_.losses[i];
    if (is_hidden_loss(term.kind)) continue;
    (term.kind == LossKind::kCrossEntropy ? cross_entropy : distillation) += term.weight * losses->sums[i];
  }
  losses->total = cross_entropy + distillation;
  if (hidden_terms_ != nullptr) hidden_terms_->finish(distillation > 0 ? distillation : cross_entropy, losses);
}

Status Trainer::accumulate(const TrainBatch& batch, BatchLosses* losses) { return run(batch, true, losses); }
Status Trainer::evaluate(const TrainBatch& batch, BatchLosses* losses) { return run(batch, false, losses); }

Status Trainer::top_logits(const TrainBatch& batch, const TopLogits& out) {
  ESP_RETURN_IF_ERROR(check_batch(batch));
  const int64_t vocab = config_.model.spec.vocab_size;
  if (out.top < 1 || out.top > vocab)
    return Status("ERR_ARGUMENT", format_text("top: expected 1 to %lld, the vocabulary, found %lld",
                                              static_cast<long long>(vocab), static_cast<long long>(out.top)));
  ESP_RETURN_IF_ERROR(decoder_->forward(context_, batch, false, nullptr));
  return head_->top_logits(context_, batch, out);
}

// Of the sum of all gradients.
Status Trainer::gradient_norm(double* norm) {
  double total = 0;
  for (const Parameter& parameter : parameters_.list()) {
    if (!parameter.trainable) continue;
    double sum = 0;
    const SumOfSquaresArgs args{parameter.gradient(), parameter.mask_bits(), parameter.count(), &sum};
    ESP_RETURN_IF_ERROR(context_.workspace.reserve(sum_of_squares_workspace_size(context_.cpu, args)));
    ESP_RETURN_IF_ERROR(sum_of_squares(context_.cpu, args, context_.workspace.as<void>(), context_.workspace.size()));
    total += sum;
  }
  *norm = std::sqrt(total);
  return Status::ok();
}

void Trainer::zero_gradients() {
  for (Parameter& parameter : parameters_.list())
    if (parameter.trainable)
      std::memset(parameter.gradient(), 0, static_cast<size_t>(parameter.count()) * sizeof(float));
}

Status Trainer::update(const UpdateOptions& options, UpdateResult* result) {
  if (options.tokens < 1)
    return Status("ERR_ARGUMENT",
                  format_text("tokens: expected at least 1, found %lld", static_cast<long long>(options.tokens)));
  if (!std::isfinite(options.learning_rate) || !std::isfinite(options.weight_decay) ||
      !std::isfinite(options.max_grad_norm))
    return Status("ERR_ARGUMENT", "learningRate, weightDecay, maxGradNorm: expected finite numbers");
  if (sums_ != nullptr) ESP_RETURN_IF_ERROR(sums_->finish());
  double scale = 1.0 / static_cast<double>(options.tokens);
  ESP_RETURN_IF_ERROR(gradient_norm(&result->grad_norm));
  result->grad_norm *= scale;
  result->skipped = !std::isfinite(result->grad_norm);
  if (result->skipped) {
    zero_gradients();
    return Status::ok();
  }
  // As torch.nn.utils.clip_grad_norm_.
  if (options.max_grad_norm > 0) scale *= std::min(1.0, options.max_grad_norm / (result->grad_norm + 1e-6));
  const int64_t number = step.load() + 1;
  for (Parameter& parameter : parameters_.list()) {
    if (!parameter.trainable) continue;
    ESP_RETURN_IF_ERROR(
        adamw(context_.cpu,
              {parameter.weight(), parameter.gradient(), parameter.values[2], parameter.values[3],
               parameter.mask_bits(), parameter.count(), static_cast<float>(scale), options.learning_rate,
               config_.beta1, config_.beta2, config_.epsilon, parameter.decays ? options.weight_decay : 0.0, number}));
  }
  step.store(number);
  return Status::ok();
}

}  // namespace espalier
