// The top k of a row of logits, as a set. Internal to kernels/logit_loss.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "kernels/sample/sample_select.h"

namespace espalier {

// The `count` largest of values [n], 1 <= count <= n, in no particular but always the same order; of equal values the
// lower ids; NaN only when nothing else is left. Left in the first `count` of candidates [n]. maxima [n] is scratch.
void select_top_set(const float* values, int64_t n, int64_t count, float* maxima, Candidate* candidates);

}  // namespace espalier
