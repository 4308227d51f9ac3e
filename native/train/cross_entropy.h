// Cross-entropy over a chunk of rows, with its gradient in place of the logits.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// logits [rows, vocab] f32; with gradient_weight != 0 they become gradient_weight * d loss / d logits
// labels [rows]; kIgnoredLabel: no loss, gradient 0
// losses [rows] f64: -log softmax(logits)[label]
struct CrossEntropyArgs {
  float* logits;
  const int32_t* labels;
  double* losses;
  int64_t rows, vocab;
  float gradient_weight;
};
Status cross_entropy(const CpuContext& context, const CrossEntropyArgs& args);

}  // namespace espalier
