// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/kv_append/kv_append.h"
#include "kernels/kv_append/kv_append_tile.h"

namespace espalier {
namespace {

const KvAppendTileFn kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(kv_append_tile_avx2), nullptr, nullptr};

Status check(const KvAppendArgs& args) {
  const KvCacheView& cache = args.cache;
  if (cache.dtype != DType::kF32 && cache.dtype != DType::kF16 && cache.dtype != DType::kBF16)
    return Status("ERR_ARGUMENT", format_text("kv_append: cache.dtype: expected f32, f16 or bf16, found %d",
                                              static_cast<int>(cache.dtype)));
  const bool any = args.tokens > 0;
  ArgumentChecks checks("kv_append");
  checks.size("tokens", args.tokens)
      .size("position", args.position)
      .positive("cache.kv_heads", cache.kv_heads)
      .positive("cache.head_dim", cache.head_dim)
      .stride("cache.page_stride_bytes", cache.page_stride_bytes,
              cache.kv_heads * cache.head_dim * kKvPageTokens * static_cast<int64_t>(dtype_size(cache.dtype)))
      .stride("ldkv", args.ldkv, cache.kv_heads * cache.head_dim)
      .pointer("cache.k_base", cache.k_base, any)
      .pointer("cache.v_base", cache.v_base, any)
      .pointer("k", args.k, any)
      .pointer("v", args.v, any)
      .pointer("pages", args.pages, any);
  if (!any || !checks.is_ok()) return checks.done();
  const int64_t last = (args.position + args.tokens - 1) / kKvPageTokens;
  for (int64_t page = args.position / kKvPageTokens; checks.is_ok() && page <= last; ++page)
    checks.index("pages", page, args.pages[page], int64_t{1} << 31);
  return checks.done();
}

// The part of `args` that falls into page number `page` of the sequence, for one kv head.
KvAppendTile tile_of(const KvAppendArgs& args, int64_t page, int64_t head) {
  const KvCacheView& cache = args.cache;
  const int64_t begin = std::max(args.position, page * kKvPageTokens);
  const int64_t end = std::min(args.position + args.tokens, (page + 1) * kKvPageTokens);
  const int64_t source = (begin - args.position) * args.ldkv + head * cache.head_dim;
  const int64_t head_bytes = cache.head_dim * kKvPageTokens * static_cast<int64_t>(dtype_size(cache.dtype));
  const int64_t target = args.pages[page] * cache.page_stride_bytes + head * head_bytes;
  KvAppendTile tile;
  tile.k = args.k + source;
  tile.v = args.v + source;
  tile.ldkv = args.ldkv;
  tile.tokens = end - begin;
  tile.slot = begin - page * kKvPageTokens;
  tile.page_tokens = kKvPageTokens;
  tile.head_dim = cache.head_dim;
  tile.dtype = static_cast<int32_t>(cache.dtype);
  tile.keys = cache.k_base + target;
  tile.values = cache.v_base + target;
  return tile;
}

}  // namespace

Status kv_append(const CpuContext& context, const KvAppendArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  if (args.tokens == 0) return Status::ok();
  const KvAppendTileFn variant = best_variant("kv_append", kVariants, context.isa);
  const KvAppendTileFn append = variant != nullptr ? variant : kv_append_tile_ref;
  const int64_t heads = args.cache.kv_heads;
  const int64_t first_page = args.position / kKvPageTokens;
  const int64_t pages = (args.position + args.tokens - 1) / kKvPageTokens - first_page + 1;
  const int64_t tile_elements = 2 * args.cache.head_dim * std::min(args.tokens, kKvPageTokens);
  for_row_ranges(context, pages * heads, tile_elements, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) append(tile_of(args, first_page + i / heads, i % heads));
  });
  return Status::ok();
}

}  // namespace espalier
