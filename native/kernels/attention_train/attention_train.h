// attention_train: causal grouped-query attention over whole rows of a batch, forward and backward, for training.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// Row s * length + i is the token at place i of sequence s; head h of a row is columns [h * head_dim, ...). heads is a
// multiple of kv_heads; query head h reads kv head h / (heads / kv_heads). All f32.
// q        [sequences * length, heads * head_dim]     rows ldq apart, rotary already applied
// k, v     [sequences * length, kv_heads * head_dim]  rows ldk / ldv apart
// out      as q, rows ldo apart; may not alias q, k or v
// lse      [sequences, heads, length]  log Σ exp(scale * q·k) over the keys a query sees
// document_starts  [sequences * length] or nullptr: the place in the row (0 .. its own) where the token's document
//          starts. A query sees the keys from there to its own place; nullptr: from place 0.
// scale    multiplies q·k (1 / sqrt(head_dim) for Llama)
struct AttentionTrainArgs {
  const float* q;
  const float* k;
  const float* v;
  int64_t ldq, ldk, ldv;
  float* out;
  int64_t ldo;
  float* lse;
  const int32_t* document_starts;
  int64_t sequences, length, heads, kv_heads, head_dim;
  float scale;
};

size_t attention_train_workspace_size(const CpuContext& context, const AttentionTrainArgs& args);
// Blocked with an online softmax: nothing of length x length is kept. Same threads and ISA: same bits.
Status attention_train(const CpuContext& context, const AttentionTrainArgs& args, void* workspace,
                       size_t workspace_size);
Status attention_train_ref(const AttentionTrainArgs& args);

// The gradients of Σ dout * out; out and lse are what attention_train gave.
// dout        as out, rows lddo apart
// dq, dk, dv  as q, k, v, rows lddq / lddk / lddv apart; overwritten; may alias no input
struct AttentionBackwardArgs {
  const float* q;
  const float* k;
  const float* v;
  int64_t ldq, ldk, ldv;
  const float* out;
  int64_t ldo;
  const float* lse;
  const int32_t* document_starts;
  int64_t sequences, length, heads, kv_heads, head_dim;
  float scale;
  const float* dout;
  int64_t lddo;
  float* dq;
  float* dk;
  float* dv;
  int64_t lddq, lddk, lddv;
};

size_t attention_backward_workspace_size(const CpuContext& context, const AttentionBackwardArgs& args);
// FlashAttention-2 (Dao 2023, algorithm 2): probabilities are computed again from lse, block by block. The sums of a
// kv head run over its query heads in order.
Status attention_backward(const CpuContext& context, const AttentionBackwardArgs& args, void* workspace,
                          size_t workspace_size);
Status attention_backward_ref(const AttentionBackwardArgs& args);

}  // namespace espalier
