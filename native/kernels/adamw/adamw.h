// adamw: one step of AdamW (Loshchilov and Hutter, arXiv 1711.05101, algorithm 2, with the decay multiplied by the
// learning rate only, as torch.optim.AdamW) in one pass over memory; and the sum of squares that clipping needs.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// weight, moment1, moment2 [count] f32, updated
// gradient [count] f32, multiplied by gradient_scale before use; zero afterwards
// mask     a bit per weight, lowest first, padded to whole pairs of bytes: where it is 0, weight and moments become 0;
//          nullptr: none
// step     of this update: 1, 2, ...
struct AdamwArgs {
  float* weight;
  float* gradient;
  float* moment1;
  float* moment2;
  const uint8_t* mask;
  int64_t count;
  float gradient_scale;
  double learning_rate, beta1, beta2, epsilon, weight_decay;
  int64_t step;
};
Status adamw(const CpuContext& context, const AdamwArgs& args);
Status adamw_ref(const AdamwArgs& args);

// sum = Σ x² in float64 over x [count] f32 where the mask (as above) has ones. Not finite when any of these is not.
// The order of the sum does not depend on the threads.
struct SumOfSquaresArgs {
  const float* x;
  const uint8_t* mask;
  int64_t count;
  double* sum;
};
size_t sum_of_squares_workspace_size(const CpuContext& context, const SumOfSquaresArgs& args);
Status sum_of_squares(const CpuContext& context, const SumOfSquaresArgs& args, void* workspace, size_t size);
Status sum_of_squares_ref(const SumOfSquaresArgs& args);

// x [count] f32 becomes 0 where the mask (as above) is 0.
Status apply_mask(const CpuContext& context, float* x, const uint8_t* mask, int64_t count);

}  // namespace espalier
