// TrainLinear: one or several linear layers over the same input, forward and backward. Their weights stand one below
// the other in memory (train/parameters.h), so that one product computes them all. A part may have an adapter (LoRA, Hu
// et al., arXiv 2106.09685) or a hook that changes its weights on their way into the product. SPDX-License-Identifier:
// Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "train/parameters.h"
#include "train/train_context.h"

namespace espalier {

// Weights that are used in another form than the one trained: fake-quantized, for example. Called on the trainer's
// thread.
struct WeightHook {
  void* state = nullptr;
  // out [rows, cols] = the form that products use, forward and backward. nullptr: no hook.
  Status (*effective)(void* state, const CpuContext& context, const Parameter& weight, float* out) = nullptr;
  // gradient [rows, cols]: of the effective weight, to become that of the weight; it is then added to
  // weight.gradient(). nullptr: the same (straight through).
  Status (*gradient)(void* state, const CpuContext& context, const Parameter& weight, float* gradient) = nullptr;
};

struct LinearPart {
  Parameter* weight = nullptr;
  Parameter* bias = nullptr;    // nullptr: none
  Parameter* lora_a = nullptr;  // [rank, in]; nullptr: no adapter
  Parameter* lora_b = nullptr;  // [out, rank]
  float lora_scale = 0;         // alpha / rank
  WeightHook hook;
};

struct TrainLinear {
  std::vector<LinearPart> parts;
  int64_t in = 0, out = 0;  // out: of all parts

  void add(const LinearPart& part);
  bool trainable() const;
};

// out [tokens, linear.out] = residual + x Wᵀ + bias
// x [tokens, linear.in]; residual as out with the same row stride, or nullptr: none; may be out
Status linear_forward(TrainContext& context, const TrainLinear& linear, const float* x, int64_t ldx,
                      const float* residual, float* out, int64_t ldo, int64_t tokens);

// dx [tokens, linear.in] = dout W, or added to dx
Status linear_backward_input(TrainContext& context, const TrainLinear& linear, const float* dout, int64_t lddo,
                             float* dx, int64_t lddx, int64_t tokens, bool accumulate = false);

// Adds to the gradients of the weights, biases and adapters that are trainable.
Status linear_backward_weight(TrainContext& context, const TrainLinear& linear, const float* x, int64_t ldx,
                              const float* dout, int64_t lddo, int64_t tokens);

// out [rows, cols] = W + scale B A
Status merged_weight(TrainContext& context, const LinearPart& part, float* out);

}  // namespace espalier
