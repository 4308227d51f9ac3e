// SPDX-License-Identifier: Apache-2.0
#include "train/trainer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <system_error>

#include "kernels/adamw/adamw.h"
#include "kernels/logit_loss/logit_loss.h"

namespace espalier {

Status Trainer::create(TrainConfig config, std::unique_ptr<Trainer>* out) {
  std::unique_ptr<Trainer> trainer(new Trainer(std::move(config)));
  ESP_RETURN_IF_ERROR(trainer->open());
  *out = std::move(trainer);
  return Status::ok();
}

Status Trainer::open() {
  if (config_.max_sequences < 1 || config_.sequence_length < 1)
    return Status("ERR_ARGUMENT", "maxSequences, sequenceLength: expected at least 1");
  if (config_.max_sequences > (int64_t{1} << 31) / config_.sequence_length)
    return Status("ERR_ARGUMENT", "maxSequences x sequenceLength: expected at most 2^31 tokens");
  if (config_.losses.empty()) return Status("ERR_ARGUMENT", "losses: expected at least one term");
  for (const LossTerm& term : config_.losses)
    if (term.kind != LossKind::kCrossEntropy)
      return Status("ERR_ARGUMENT", "losses: only cross_entropy needs no teacher");
  ESP_RETURN_IF_ERROR(parameters_.create(config_.model, config_.frozen, true));
  decoder_ = std::make_unique<TrainDecoder>(config_.model.spec, &parameters_);
  head_ = std::make_unique<LossHead>(decoder_.get(), config_.losses);
  ESP_RETURN_IF_ERROR(decoder_->reserve(config_.max_sequences, config_.sequence_length, true));
  ESP_RETURN_IF_ERROR(head_->reserve(config_.max_sequences * config_.sequence_length));
  try {
    if (config_.threads == 0) ESP_RETURN_IF_ERROR(thread_environment_status());
    pool_ = std::make_unique<ThreadPool>(config_.threads > 0 ? config_.threads : default_thread_count());
  } catch (const std::system_error& error) {
    return Status("ERR_THREADS", format_text("cannot start the trainer's threads: %s", error.what()));
  }
  context_.cpu = {pool_.get(), config_.isa};
  if (!config_.data_parallel) return Status::ok();
  std::shared_ptr<Communicator> ranks;
  ESP_RETURN_IF_ERROR(open_mpi(&ranks));
  sums_ = std::make_unique<GradientSums>(std::move(ranks), &parameters_);
  context_.sums = sums_.get();
  return Status::ok();
}

Status Trainer::load() { return parameters_.load(pool_.get(), config_.init_seed, config_.init_std); }

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

Status Trainer::run(const TrainBatch& batch, bool backward, BatchLosses* losses) {
  ESP_RETURN_IF_ERROR(check_batch(batch));
  *losses = {};
  ESP_RETURN_IF_ERROR(decoder_->forward(context_, batch, backward));
  losses->sums.assign(config_.losses.size(), 0.0);
  ESP_RETURN_IF_ERROR(head_->run(context_, batch, backward, losses));
  for (size_t i = 0; i < losses->sums.size(); ++i) losses->total += config_.losses[i].weight * losses->sums[i];
  if (!backward) return Status::ok();
  if (sums_ != nullptr) sums_->expect_last(batch.last);
  return decoder_->backward(context_, batch);
}

Status Trainer::accumulate(const TrainBatch& batch, BatchLosses* losses) { return run(batch, true, losses); }
Status Trainer::evaluate(const TrainBatch& batch, BatchLosses* losses) { return run(batch, false, losses); }

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

Status Trainer::find(const std::string& name, ParameterPart part, int64_t count, Parameter** out) {
  *out = parameters_.find(name);
  if (*out == nullptr) return Status("ERR_ARGUMENT", "the model has no parameter \"" + name + "\"");
  if ((*out)->values[static_cast<int>(part)] == nullptr)
    return Status("ERR_ARGUMENT", name + " is frozen: it has a weight only");
  if (count != (*out)->count())
    return Status("ERR_SHAPE", format_text("%s: expected %lld values, found %lld", name.c_str(),
                                           static_cast<long long>((*out)->count()), static_cast<long long>(count)));
  return Status::ok();
}

Status Trainer::read(const std::string& name, ParameterPart part, float* out, int64_t count) {
  Parameter* parameter;
  ESP_RETURN_IF_ERROR(find(name, part, count, &parameter));
  std::memcpy(out, parameter->values[static_cast<int>(part)], static_cast<size_t>(count) * sizeof(float));
  return Status::ok();
}

Status Trainer::write(const std::string& name, ParameterPart part, const float* values, int64_t count) {
  Parameter* parameter;
  ESP_RETURN_IF_ERROR(find(name, part, count, &parameter));
  float* target = parameter->values[static_cast<int>(part)];
  std::memcpy(target, values, static_cast<size_t>(count) * sizeof(float));
  if (parameter->mask_bits() == nullptr) return Status::ok();
  return apply_mask(context_.cpu, target, parameter->mask_bits(), count);
}

Status Trainer::merged(const std::string& name, float* out, int64_t count) {
  return read(name, ParameterPart::kWeight, out, count);
}

Status Trainer::check_mask(const std::string& name, int64_t bytes) {
  const Parameter* parameter = parameters_.find(name);
  if (parameter == nullptr) return Status("ERR_ARGUMENT", "the model has no parameter \"" + name + "\"");
  const int64_t needed = (parameter->count() + 7) / 8;
  if (bytes == -1 || bytes == needed) return Status::ok();
  return Status("ERR_SHAPE", format_text("mask of %s: expected %lld bytes, found %lld", name.c_str(),
                                         static_cast<long long>(needed), static_cast<long long>(bytes)));
}

Status Trainer::set_mask(const std::string& name, const uint8_t* bits, int64_t bytes) {
  ESP_RETURN_IF_ERROR(check_mask(name, bits == nullptr ? -1 : bytes));
  Parameter* parameter = parameters_.find(name);
  if (bits == nullptr) {
    parameter->mask.release();
    return Status::ok();
  }
  ESP_RETURN_IF_ERROR(parameter->mask.reserve(static_cast<size_t>(bytes) + 1));  // whole pairs of bytes
  std::memcpy(parameter->mask.as<uint8_t>(), bits, static_cast<size_t>(bytes));
  for (float* values : parameter->values)
    if (values != nullptr)
      ESP_RETURN_IF_ERROR(apply_mask(context_.cpu, values, parameter->mask_bits(), parameter->count()));
  return Status::ok();
}

std::vector<std::pair<const char*, size_t>> Trainer::memory() const {
  return {{"weights", parameters_.bytes(ParameterPart::kWeight)},
          {"gradients", parameters_.bytes(ParameterPart::kGradient)},
          {"moments", parameters_.bytes(ParameterPart::kMoment1) + parameters_.bytes(ParameterPart::kMoment2)},
          {"activations", decoder_->activation_bytes() + head_->bytes() + context_.workspace.size()},
          {"teacher", 0}};
}

}  // namespace espalier
