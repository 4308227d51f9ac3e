// attention: causal grouped-query attention over a paged KV cache, for prefill chunks and decode steps alike.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"
#include "kernels/kv_append/kv_append.h"

namespace espalier {

// One sequence's part of a step. Its keys and values for all kv_len positions are already in the cache.
// q    [q_len, heads * head_dim] f32, rows ldq apart; row i stands at position kv_len - q_len + i
// out  [q_len, heads * head_dim] f32, rows ldo apart; may alias q
struct AttentionSequence {
  const float* q;
  float* out;
  int64_t q_len;
  int64_t kv_len;
  const int32_t* pages;  // ceil(kv_len / kKvPageTokens) page ids
};

// heads is a multiple of cache.kv_heads; query head h reads kv head h / (heads / kv_heads).
// scale multiplies q·k (1 / sqrt(head_dim) for Llama). causal false (encoders) lets every row see all kv_len keys.
struct AttentionArgs {
  KvCacheView cache;
  const AttentionSequence* sequences;
  int64_t count;
  int64_t heads;
  int64_t ldq, ldo;
  float scale;
  bool causal;
};

size_t attention_workspace_size(const CpuContext& context, const AttentionArgs& args);
// Prefill runs blocked with an online softmax; decode splits long contexts over threads. No allocation inside.
Status attention(const CpuContext& context, const AttentionArgs& args, void* workspace, size_t workspace_size);
Status attention_ref(const AttentionArgs& args);

}  // namespace espalier
