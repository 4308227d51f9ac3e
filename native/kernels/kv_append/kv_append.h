// kv_append: writes new keys and values into a paged KV cache.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/dtype.h"
#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// One layer's paged cache. A page holds kKvPageTokens tokens of every kv head:
//   keys   [kv_heads][head_dim][kKvPageTokens]   (transposed: a query meets 16 keys per vector)
//   values [kv_heads][kKvPageTokens][head_dim]
// Page p of the layer starts at k_base + p * page_stride_bytes (v_base likewise). dtype is f32, f16 or bf16.
constexpr int64_t kKvPageTokens = 32;

struct KvCacheView {
  char* k_base;
  char* v_base;
  int64_t page_stride_bytes;
  int64_t kv_heads;
  int64_t head_dim;
  DType dtype;
};

// k, v      [tokens, kv_heads * head_dim] f32, rows ldkv apart
// pages     page ids of the sequence, in order
// position  position of the first of the `tokens` rows in the sequence
struct KvAppendArgs {
  KvCacheView cache;
  const float* k;
  const float* v;
  int64_t ldkv;
  int64_t tokens;
  const int32_t* pages;
  int64_t position;
};

Status kv_append(const CpuContext& context, const KvAppendArgs& args);

}  // namespace espalier
