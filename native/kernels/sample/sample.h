// sample: from logits to the next token id.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/rng.h"
#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// The order is that of transformers' logits processors: repetition penalty, temperature, top-k, top-p, min-p, draw.
struct SampleOptions {
  float temperature = 0.0f;         // 0 = greedy (lowest id wins a tie)
  int32_t top_k = 0;                // 0 = off
  float top_p = 1.0f;               // in (0, 1]
  float min_p = 0.0f;               // in [0, 1): keeps p >= min_p * max p
  float repetition_penalty = 1.0f;  // > 0: logits of seen tokens are divided (positive) or multiplied (negative)
};

// logits  [vocab] f32; overwritten
// seen    [seen_count] token ids the penalty applies to (prompt and generated; repeats count once)
// id      chosen token; logprob its log-probability under softmax(raw logits before any processing)
// top_ids, top_logprobs [top_count] the most probable tokens, best first (top_count may be 0)
struct SampleArgs {
  float* logits;
  int64_t vocab;
  SampleOptions options;
  const int32_t* seen;
  int64_t seen_count;
  Rng* rng;
  int32_t id;      // out
  double logprob;  // out
  int32_t* top_ids;
  double* top_logprobs;
  int32_t top_count;
  void* workspace;  // sample_workspace_size(vocab) bytes
};
size_t sample_workspace_size(int64_t vocab);
// ERR_NUMERIC when every logit is NaN or -inf (a model with NaN weights).
Status sample(const CpuContext& context, SampleArgs& args);

}  // namespace espalier
