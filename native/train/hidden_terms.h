// Hidden-state distillation: TeacherStates keeps what the teacher's blocks gave, HiddenTerms compares the student's
// with it and gives the gradients. When the hidden sizes differ, one learned projection, shared by all pairs, brings
// the student's states to the teacher's width. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "train/train_decoder.h"

namespace espalier {

class TeacherStates : public HiddenObserver {
 public:
  // Those of the layers that the hidden terms name.
  TeacherStates(const std::vector<LossTerm>& terms, int64_t width);
  void carve(Arena& own, int64_t max_tokens);
  Status seen(TrainContext& context, const TrainBatch& batch, int64_t layer, const float* hidden) override;
  Status add_gradient(TrainContext&, const TrainBatch&, int64_t, const float*, float*) override { return Status::ok(); }
  // [tokens, width]
  const float* state(int64_t layer) const { return states_.at(layer); }
  int64_t width() const { return width_; }

 private:
  int64_t width_;
  std::map<int64_t, float*> states_;
};

class HiddenTerms : public HiddenObserver {
 public:
  // projection: empty parts when the sizes are equal.
  HiddenTerms(const std::vector<LossTerm>& terms, const TeacherStates* teacher, int64_t width, TrainLinear projection);
  void carve(Arena& work, int64_t max_tokens);

  // Before a forward pass.
  void begin();
  Status seen(TrainContext& context, const TrainBatch& batch, int64_t layer, const float* hidden) override;
  // After it: what each dynamic weight is multiplied by, from the weighted sum of the logit terms. Adds the terms' sums
  // to `losses`, and their weighted sum to its total.
  void finish(double logit_terms, BatchLosses* losses);
  Status add_gradient(TrainContext& context, const TrainBatch& batch, int64_t layer, const float* hidden,
                      float* dhidden) override;
  bool projects() const { return !projection_.parts.empty(); }

 private:
  struct Term {
    LossTerm config;
    size_t place;  // among all terms of the config
    double sum = 0;
    double weight = 0;  // with the dynamic factor
  };
  // fn(term, teacher's layer) for the pairs of a student's layer.
  template <typename F>
  Status for_pairs(int64_t layer, F&& fn);
  Status compare(TrainContext& context, const TrainBatch& batch, const Term& term, int64_t teacher_layer,
                 const float* student, double* sum, float* gradient, bool accumulate);

  std::vector<Term> terms_;
  const TeacherStates* teacher_;
  int64_t width_;  // of the student
  TrainLinear projection_;
  float* projected_ = nullptr;  // [tokens, teacher's width], as is its gradient
  float* dprojected_ = nullptr;
};

}  // namespace espalier
