// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention/attention.h"
#include "kernels/checks.h"

namespace espalier {
namespace {

Status check(const AttentionArgs& args) {
  const KvCacheView& cache = args.cache;
  if (cache.dtype != DType::kF32 && cache.dtype != DType::kF16 && cache.dtype != DType::kBF16)
    return Status("ERR_ARGUMENT", format_text("attention: cache.dtype: expected f32, f16 or bf16, found %d",
                                              static_cast<int>(cache.dtype)));
  ArgumentChecks checks("attention");
  checks.size("count", args.count)
      .positive("heads", args.heads)
      .positive("cache.kv_heads", cache.kv_heads)
      .positive("cache.head_dim", cache.head_dim);
  if (!checks.is_ok()) return checks.done();
  checks.multiple("heads", args.heads, cache.kv_heads)
      .stride("ldq", args.ldq, args.heads * cache.head_dim)
      .stride("ldo", args.ldo, args.heads * cache.head_dim)
      .stride("cache.page_stride_bytes", cache.page_stride_bytes,
              cache.kv_heads * cache.head_dim * kKvPageTokens * static_cast<int64_t>(dtype_size(cache.dtype)))
      .pointer("sequences", args.sequences, args.count > 0);
  for (int64_t s = 0; checks.is_ok() && s < args.count; ++s) {
    const AttentionSequence& sequence = args.sequences[s];
    const bool any = sequence.q_len > 0;
    checks.size("sequence.q_len", sequence.q_len)
        .size("sequence.kv_len", sequence.kv_len)
        .at_most("sequence.q_len", sequence.q_len, sequence.kv_len)
        .pointer("sequence.q", sequence.q, any)
        .pointer("sequence.out", sequence.out, any)
        .pointer("sequence.pages", sequence.pages, any)
        .pointer("cache.k_base", cache.k_base, any)
        .pointer("cache.v_base", cache.v_base, any);
    const int64_t pages = any ? (sequence.kv_len + kKvPageTokens - 1) / kKvPageTokens : 0;
    for (int64_t page = 0; checks.is_ok() && page < pages; ++page)
      checks.index("sequence.pages", page, sequence.pages[page], int64_t{1} << 31);
  }
  return checks.done();
}

}  // namespace

size_t attention_workspace_size(const CpuContext& context, const AttentionArgs& args) { return 0; }

Status attention(const CpuContext& context, const AttentionArgs& args, void* workspace, size_t workspace_size) {
  ESP_RETURN_IF_ERROR(check(args));
  return attention_ref(args);
}

}  // namespace espalier
