// TrainLinear: one or several linear layers over the same input, forward and backward. Their weights stand one below
// the other in memory (train/parameters.h), so that one product computes them all. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "train/parameters.h"
#include "train/train_context.h"

namespace espalier {

struct LinearPart {
  Parameter* weight = nullptr;
  Parameter* bias = nullptr;  // nullptr: none
};

struct TrainLinear {
  std::vector<LinearPart> parts;
  int64_t in = 0, out = 0;  // out: of all parts

  void add(Parameter* weight, Parameter* bias);
  bool trainable() const;
};

// out [tokens, linear.out] = residual + x Wᵀ + bias
// x [tokens, linear.in]; residual as out with the same row stride, or nullptr: none; may be out
Status linear_forward(TrainContext& context, const TrainLinear& linear, const float* x, int64_t ldx,
                      const float* residual, float* out, int64_t ldo, int64_t tokens);

// dx [tokens, linear.in] = dout W
Status linear_backward_input(TrainContext& context, const TrainLinear& linear, const float* dout, int64_t lddo,
                             float* dx, int64_t lddx, int64_t tokens);

// Adds to the gradients of the weights and biases that are trainable.
Status linear_backward_weight(TrainContext& context, const TrainLinear& linear, const float* x, int64_t ldx,
                              const float* dout, int64_t lddo, int64_t tokens);

}  // namespace espalier
