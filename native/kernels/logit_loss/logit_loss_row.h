// One row of logit_loss on the vector passes. Internal to kernels/logit_loss.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/arena.h"
#include "kernels/logit_loss/logit_loss.h"
#include "kernels/logit_loss/logit_loss_tile.h"
#include "kernels/logit_loss/logit_loss_top.h"
#include "kernels/softmax/softmax_tile.h"

namespace espalier {

// What one thread needs; nullptr where no term wants it.
struct LogitLossScratch {
  float* gradient;        // [vocab]
  float* teacher;         // [vocab]; the corrected teacher
  Candidate* candidates;  // [vocab], of a teacher's largest logits [top_k]
  float* maxima;          // [vocab]
  float* student_top;     // [top_k]
  float* teacher_top;     // [top_k]
  float* gradient_top;    // [top_k]
};
LogitLossScratch take_logit_loss_scratch(Arena& arena, const LogitLossArgs& args);

struct LogitLossKernels {
  const LogitLossTile& loss;
  const DistanceTile& distance;
  const SoftmaxTile& softmax;
};

// The terms of one row whose label counts: values[term], and the gradient in place if args.gradient.
void logit_loss_row(const LogitLossKernels& kernels, const LogitLossArgs& args, int64_t row,
                    const LogitLossScratch& scratch, double* values);

}  // namespace espalier
