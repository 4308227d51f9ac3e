// SPDX-License-Identifier: Apache-2.0
#include "train/head.h"

#include <algorithm>
#include <cstring>

#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rms_norm/rms_norm_backward.h"
#include "kernels/top_logits/top_logits.h"

namespace espalier {
namespace {

// Of logits at a time. Fewer rows make the product that adds to the head's gradient read and write it more often.
constexpr int64_t kChunkFloats = int64_t{1} << 23;
constexpr int64_t kMinChunkRows = 256;

LogitTermKind kind_of(LossKind kind) {
  switch (kind) {
    case LossKind::kKl:
    case LossKind::kMft:
      return LogitTermKind::kKl;
    case LossKind::kKlTail:
      return LogitTermKind::kKlTail;
    case LossKind::kReverseKl:
      return LogitTermKind::kReverseKl;
    case LossKind::kJsd:
      return LogitTermKind::kJsd;
    case LossKind::kLogitsMse:
      return LogitTermKind::kLogitsMse;
    case LossKind::kLogitsCosine:
      return LogitTermKind::kLogitsCosine;
    default:
      return LogitTermKind::kCrossEntropy;
  }
}

}  // namespace

LossHead::LossHead(TrainDecoder* decoder, TrainDecoder* teacher, const std::vector<LossTerm>& terms,
                   int64_t teacher_top)
    : decoder_(decoder), teacher_(teacher), teacher_top_(teacher_top) {
  for (size_t i = 0; i < terms.size(); ++i) {
    const LossTerm& term = terms[i];
    if (is_hidden_loss(term.kind)) continue;
    places_.push_back(i);
    terms_.push_back({kind_of(term.kind), static_cast<float>(term.weight), static_cast<float>(term.temperature),
                      term.top_k, static_cast<float>(term.beta),
                      term.kind == LossKind::kMft ? static_cast<float>(term.threshold) : -1.0f});
  }
}

Status LossHead::reserve(int64_t max_tokens) {
  const ModelSpec& spec = decoder_->spec();
  chunk_rows_ = std::min(max_tokens, std::max(kMinChunkRows, kChunkFloats / spec.vocab_size / 16 * 16));
  const size_t rows = static_cast<size_t>(chunk_rows_);
  const auto carve = [&](Arena arena) {
    normed_ = arena.take<float>(rows * static_cast<size_t>(spec.hidden_size));
    dnormed_ = arena.take<float>(rows * static_cast<size_t>(spec.hidden_size));
    logits_ = arena.take<float>(rows * static_cast<size_t>(spec.vocab_size));
    if (teacher_ != nullptr) {
      teacher_normed_ = arena.take<float>(rows * static_cast<size_t>(teacher_->spec().hidden_size));
      teacher_logits_ = arena.take<float>(rows * static_cast<size_t>(spec.vocab_size));
    }
    return arena.used();
  };
  ESP_RETURN_IF_ERROR(memory_.reserve(carve(Arena())));
  carve(Arena(memory_.as<void>(), memory_.size()));
  return Status::ok();
}

Status LossHead::run(TrainContext& context, const TrainBatch& batch, bool backward, BatchLosses* losses) {
  const int64_t hidden = decoder_->spec().hidden_size, tokens = batch.token_count();
  sums_.assign(terms_.size(), 0.0);
  if (backward) std::memset(decoder_->gradient(), 0, static_cast<size_t>(tokens * hidden) * sizeof(float));
  for (int64_t begin = 0; begin < tokens; begin += chunk_rows_) {
    const int64_t rows = std::min(chunk_rows_, tokens - begin);
    const int32_t* labels = batch.labels + begin;
    const int64_t counted = rows - std::count(labels, labels + rows, kIgnoredLabel);
    losses->tokens += counted;
    if (counted == 0 || terms_.empty()) continue;
    ESP_RETURN_IF_ERROR(chunk_logits(context, *decoder_, begin, rows, normed_, logits_));
    if (teacher_ != nullptr)
      ESP_RETURN_IF_ERROR(chunk_logits(context, *teacher_, begin, rows, teacher_normed_, teacher_logits_));
    ESP_RETURN_IF_ERROR(chunk_losses(context, batch, begin, rows, backward));
    if (!backward) continue;
    ESP_RETURN_IF_ERROR(
        chunk_backward(context, decoder_->output() + begin * hidden, decoder_->gradient() + begin * hidden, rows));
  }
  for (size_t i = 0; i < terms_.size(); ++i) losses->sums[places_[i]] = sums_[i];
  return Status::ok();
}

Status LossHead::chunk_logits(TrainContext& context, TrainDecoder& model, int64_t begin, int64_t rows, float* normed,
                              float* logits) {
  const ModelSpec& spec = model.spec();
  const int64_t hidden = spec.hidden_size;
  ESP_RETURN_IF_ERROR(rms_norm(context.cpu, {model.output() + begin * hidden, hidden, model.norm()->weight(), normed,
                                             hidden, rows, hidden, spec.norm_eps}));
  return linear_forward(context, model.lm_head(), normed, hidden, nullptr, logits, spec.vocab_size, rows);
}

Status LossHead::chunk_losses(TrainContext& context, const TrainBatch& batch, int64_t begin, int64_t rows,
                              bool backward) {
  LogitLossArgs args{};
  args.logits = logits_;
  args.teacher = teacher_logits_;
  args.ld = args.ld_teacher = args.vocab = decoder_->spec().vocab_size;
  args.labels = batch.labels + begin;
  args.rows = rows;
  args.terms = terms_.data();
  args.term_count = static_cast<int64_t>(terms_.size());
  args.sums = sums_.data();
  args.gradient = backward;
  args.top_ids = batch.top_ids + begin * teacher_top_;
  args.top_values = batch.top_values + begin * teacher_top_;
  if (batch.top_log_sum_exp != nullptr) args.top_log_sum_exp = batch.top_log_sum_exp + begin;
  args.teacher_top = teacher_top_;
  ESP_RETURN_IF_ERROR(context.workspace.reserve(logit_loss_workspace_size(context.cpu, args)));
  return logit_loss(context.cpu, args, context.workspace.as<void>(), context.workspace.size());
}

Status LossHead::top_logits(TrainContext& context, const TrainBatch& batch, const TopLogits& out) {
  const int64_t vocab = decoder_->spec().vocab_size, tokens = batch.token_count();
  for (int64_t begin = 0; begin < tokens; begin += chunk_rows_) {
    const int64_t rows = std::min(chunk_rows_, tokens - begin);
    ESP_RETURN_IF_ERROR(chunk_logits(context, *decoder_, begin, rows, normed_, logits_));
    const TopLogitsArgs args{logits_,
                             vocab,
                             rows,
                             vocab,
                             out.top,
                             out.ids + begin * out.top,
                             out.values + begin * out.top,
                             out.log_sum_exp + begin};
    ESP_RETURN_IF_ERROR(context.workspace.reserve(top_logits_workspace_size(context.cpu, args)));
    ESP_RETURN_IF_ERROR(
        espalier::top_logits(context.cpu, args, context.workspace.as<void>(), context.workspace.size()));
  }
  return Status::ok();
}

// logits_ holds the gradient of the logits.
Status LossHead::chunk_backward(TrainContext& context, const float* hidden, float* dhidden, int64_t rows) {
  const ModelSpec& spec = decoder_->spec();
  const int64_t width = spec.hidden_size, vocab = spec.vocab_size;
  const TrainLinear& head = decoder_->lm_head();
  ESP_RETURN_IF_ERROR(linear_backward_weight(context, head, normed_, width, logits_, vocab, rows));
  ESP_RETURN_IF_ERROR(linear_backward_input(context, head, logits_, vocab, dnormed_, width, rows));
  const RmsNormBackwardArgs args{hidden,
                                 width,
                                 decoder_->norm()->weight(),
                                 dnormed_,
                                 width,
                                 dhidden,
                                 width,
                                 decoder_->norm()->gradient(),
                                 nullptr,
                                 width,
                                 rows,
                                 width,
                                 spec.norm_eps};
  ESP_RETURN_IF_ERROR(context.workspace.reserve(rms_norm_backward_workspace_size(context.cpu, args)));
  return rms_norm_backward(context.cpu, args, context.workspace.as<void>(), context.workspace.size());
}

}  // namespace espalier
