// top_logits: the largest logits of each row, their ids, and the logarithm of what all of them sum to.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// logits      [rows, vocab] f32, rows ld apart
// ids         [rows, top] i32, best first; of equal logits the lower id first
// values      [rows, top] f32, their logits
// log_sum_exp [rows] f32: log of the sum of exp over the whole row
struct TopLogitsArgs {
  const float* logits;
  int64_t ld;
  int64_t rows, vocab;
  int64_t top;  // 1 to vocab
  int32_t* ids;
  float* values;
  float* log_sum_exp;
};

size_t top_logits_workspace_size(const CpuContext& context, const TopLogitsArgs& args);
// ERR_ARGUMENT, ERR_SHAPE, ERR_WORKSPACE; ERR_NUMERIC: a logit is NaN, or one of the largest is infinite.
Status top_logits(const CpuContext& context, const TopLogitsArgs& args, void* workspace, size_t workspace_size);
Status top_logits_ref(const TopLogitsArgs& args);

}  // namespace espalier
