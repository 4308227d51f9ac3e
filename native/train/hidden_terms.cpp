// SPDX-License-Identifier: Apache-2.0
#include "train/hidden_terms.h"

#include <cstring>
#include <utility>

#include "kernels/bias/bias.h"
#include "kernels/hidden_loss/hidden_loss.h"

namespace espalier {
namespace {

// Of SquareHead: bfloat16's machine epsilon, as in its authors' code.
constexpr float kSquareHeadEpsilon = 0.0078125f;

HiddenLossKind kind_of(LossKind kind) {
  if (kind == LossKind::kHiddenMse) return HiddenLossKind::kMse;
  return kind == LossKind::kHiddenCosine ? HiddenLossKind::kCosine : HiddenLossKind::kSquareHead;
}

}  // namespace

TeacherStates::TeacherStates(const std::vector<LossTerm>& terms, int64_t width) : width_(width) {
  for (const LossTerm& term : terms)
    for (const auto& [student, teacher] : term.layers) states_[teacher] = nullptr;
}

void TeacherStates::carve(Arena& own, int64_t max_tokens) {
  for (auto& [layer, state] : states_) state = own.take<float>(static_cast<size_t>(max_tokens * width_));
}

Status TeacherStates::seen(TrainContext& context, const TrainBatch& batch, int64_t layer, const float* hidden) {
  const auto found = states_.find(layer);
  if (found == states_.end()) return Status::ok();
  return bias_rows(context.cpu, {hidden, width_, nullptr, found->second, width_, batch.token_count(), width_});
}

HiddenTerms::HiddenTerms(const std::vector<LossTerm>& terms, const TeacherStates* teacher, int64_t width,
                         TrainLinear projection)
    : teacher_(teacher), width_(width), projection_(std::move(projection)) {
  for (size_t i = 0; i < terms.size(); ++i)
    if (is_hidden_loss(terms[i].kind)) terms_.push_back({terms[i], i});
}

void HiddenTerms::carve(Arena& work, int64_t max_tokens) {
  if (!projects()) return;
  projected_ = work.take<float>(static_cast<size_t>(max_tokens * teacher_->width()));
  dprojected_ = work.take<float>(static_cast<size_t>(max_tokens * teacher_->width()));
}

void HiddenTerms::begin() {
  for (Term& term : terms_) term.sum = 0;
}

template <typename F>
Status HiddenTerms::for_pairs(int64_t layer, F&& fn) {
  for (Term& term : terms_)
    for (const auto& [student, teacher] : term.config.layers)
      if (student == layer) ESP_RETURN_IF_ERROR(fn(term, teacher));
  return Status::ok();
}

Status HiddenTerms::compare(TrainContext& context, const TrainBatch& batch, const Term& term, int64_t teacher_layer,
                            const float* student, double* sum, float* gradient, bool accumulate) {
  const int64_t width = teacher_->width();
  const HiddenLossArgs args{student,
                            width,
                            teacher_->state(teacher_layer),
                            width,
                            batch.labels,
                            batch.token_count(),
                            width,
                            kind_of(term.config.kind),
                            kSquareHeadEpsilon,
                            sum,
                            gradient,
                            width,
                            static_cast<float>(term.weight),
                            accumulate};
  ESP_RETURN_IF_ERROR(context.workspace.reserve(hidden_loss_workspace_size(context.cpu, args)));
  return hidden_loss(context.cpu, args, context.workspace.as<void>(), context.workspace.size());
}

Status HiddenTerms::seen(TrainContext& context, const TrainBatch& batch, int64_t layer, const float* hidden) {
  bool projected = false;
  return for_pairs(layer, [&](Term& term, int64_t teacher_layer) {
    if (projects() && !std::exchange(projected, true))
      ESP_RETURN_IF_ERROR(linear_forward(context, projection_, hidden, width_, nullptr, projected_, projection_.out,
                                         batch.token_count()));
    return compare(context, batch, term, teacher_layer, projects() ? projected_ : hidden, &term.sum, nullptr, false);
  });
}

void HiddenTerms::finish(double logit_terms, BatchLosses* losses) {
  for (Term& term : terms_) {
    const bool scaled = term.config.dynamic_weight && term.sum > 0;
    term.weight = term.config.weight * (scaled ? logit_terms / term.sum : 1.0);
    losses->sums[term.place] = term.sum;
    losses->total += term.weight * term.sum;
  }
}

Status HiddenTerms::add_gradient(TrainContext& context, const TrainBatch& batch, int64_t layer, const float* hidden,
                                 float* dhidden) {
  const int64_t tokens = batch.token_count();
  bool first = true;
  double unused = 0;
  ESP_RETURN_IF_ERROR(for_pairs(layer, [&](Term& term, int64_t teacher_layer) {
    if (!projects()) return compare(context, batch, term, teacher_layer, hidden, &unused, dhidden, true);
    const bool accumulate = !std::exchange(first, false);
    if (!accumulate)
      ESP_RETURN_IF_ERROR(
          linear_forward(context, projection_, hidden, width_, nullptr, projected_, projection_.out, tokens));
    return compare(context, batch, term, teacher_layer, projected_, &unused, dprojected_, accumulate);
  }));
  if (first) return Status::ok();
  ESP_RETURN_IF_ERROR(
      linear_backward_weight(context, projection_, hidden, width_, dprojected_, projection_.out, tokens));
  return linear_backward_input(context, projection_, dprojected_, projection_.out, dhidden, width_, tokens, true);
}

}  // namespace espalier
