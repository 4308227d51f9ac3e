// kv_append: writes new keys and values into a paged KV cache.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"
#include "kernels/kv_append/kv_dtype.h"

namespace espalier {

// One layer's paged cache. A page holds kKvPageTokens tokens of every kv head, kv_head_bytes() apart:
//   keys   [head_dim][kKvPageTokens]   (transposed: a query meets 16 keys per vector)
//   values [kKvPageTokens][head_dim]
// each behind its scales [kKvPageTokens] f32 when dtype has scales: the value of token t is code * scale[t].
// Page p of the layer starts at k_base + p * page_stride_bytes (v_base likewise).
struct KvCacheView {
  char* k_base;
  char* v_base;
  int64_t page_stride_bytes;
  int64_t kv_heads;
  int64_t head_dim;
  KvDType dtype;
};

// k, v      [tokens, kv_heads * head_dim] f32, rows ldkv apart
// pages     page ids of the sequence, in order
// position  position of the first of the `tokens` rows in the sequence
// k_scales, v_scales [kv_heads] f32 > 0, of a dtype with scales; codes saturate. nullptr (both): each token's row of a
//   kv head gets the scale absmax / largest code. Either way a row that holds NaN or an infinity gets the scale NaN, so
//   that whatever attends to it is NaN, as with the other dtypes; a row of zeros, or with an absmax whose scale were
//   subnormal, gets the scale 0.
struct KvAppendArgs {
  KvCacheView cache;
  const float* k;
  const float* v;
  int64_t ldkv;
  int64_t tokens;
  const int32_t* pages;
  int64_t position;
  const float* k_scales;
  const float* v_scales;
};

Status kv_append(const CpuContext& context, const KvAppendArgs& args);

}  // namespace espalier
