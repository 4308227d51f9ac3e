// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/kv_append/kv_append.h"
#include "kernels/kv_append/kv_append_tile.h"

namespace espalier {
namespace {

const KvAppendTileFn kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(kv_append_tile_avx2), nullptr, nullptr};

Status check_scales(float key_scale, float value_scale, int64_t head) {
  const bool fit = std::isnormal(key_scale) && key_scale > 0 && std::isnormal(value_scale) && value_scale > 0;
  if (fit) return Status::ok();
  return Status("ERR_ARGUMENT",
                format_text("kv_append: k_scales[%lld], v_scales[%lld]: expected numbers above 0, found %g and %g",
                            static_cast<long long>(head), static_cast<long long>(head), key_scale, value_scale));
}

Status check(const KvAppendArgs& args) {
  const KvCacheView& cache = args.cache;
  if (kv_dtype_info(cache.dtype) == nullptr)
    return Status("ERR_ARGUMENT", format_text("kv_append: cache.dtype: expected %s, found %d", kKvDTypeNames,
                                              static_cast<int>(cache.dtype)));
  const bool any = args.tokens > 0;
  ArgumentChecks checks("kv_append");
  checks.size("tokens", args.tokens)
      .size("position", args.position)
      .positive("cache.kv_heads", cache.kv_heads)
      .positive("cache.head_dim", cache.head_dim)
      .stride("cache.page_stride_bytes", cache.page_stride_bytes,
              cache.kv_heads * kv_head_bytes(cache.dtype, cache.head_dim))
      .stride("ldkv", args.ldkv, cache.kv_heads * cache.head_dim)
      .pointer("cache.k_base", cache.k_base, any)
      .pointer("cache.v_base", cache.v_base, any)
      .pointer("k", args.k, any)
      .pointer("v", args.v, any)
      .pointer("pages", args.pages, any)
      .pointer("v_scales", args.v_scales, args.k_scales != nullptr)
      .pointer("k_scales", args.k_scales, args.v_scales != nullptr);
  for (int64_t head = 0; checks.is_ok() && args.k_scales != nullptr && head < cache.kv_heads; ++head)
    ESP_RETURN_IF_ERROR(check_scales(args.k_scales[head], args.v_scales[head], head));
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
  const int64_t target = args.pages[page] * cache.page_stride_bytes + head * kv_head_bytes(cache.dtype, cache.head_dim);
  const int64_t scale_bytes = kv_scale_bytes(cache.dtype);
  KvAppendTile tile;
  tile.k = args.k + source;
  tile.v = args.v + source;
  tile.ldkv = args.ldkv;
  tile.tokens = end - begin;
  tile.slot = begin - page * kKvPageTokens;
  tile.page_tokens = kKvPageTokens;
  tile.head_dim = cache.head_dim;
  tile.dtype = static_cast<int32_t>(cache.dtype);
  tile.keys = cache.k_base + target + scale_bytes;
  tile.values = cache.v_base + target + scale_bytes;
  tile.key_scales = reinterpret_cast<float*>(cache.k_base + target);
  tile.value_scales = reinterpret_cast<float*>(cache.v_base + target);
  tile.key_scale = args.k_scales != nullptr ? args.k_scales[head] : 0;
  tile.value_scale = args.v_scales != nullptr ? args.v_scales[head] : 0;
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
