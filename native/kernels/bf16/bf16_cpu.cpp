// SPDX-License-Identifier: Apache-2.0
#include "kernels/bf16/bf16.h"
#include "kernels/bf16/bf16_tile.h"
#include "kernels/checks.h"
#include "kernels/dispatch.h"

namespace espalier {
namespace {

constexpr int64_t kBlock = 4096;  // elements

const Bf16Tile* const kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(&bf16_tile_avx2),
                                              ESP_X86_VARIANT(&bf16_tile_avx512), nullptr};

// fn(begin, count) over pieces of [0, count).
template <typename F>
void for_pieces(const CpuContext& context, int64_t count, F&& fn) {
  for_row_ranges(context, (count + kBlock - 1) / kBlock, kBlock, [&](int64_t begin, int64_t end) {
    const int64_t last = end * kBlock < count ? end * kBlock : count;
    fn(begin * kBlock, last - begin * kBlock);
  });
}

Status check(const char* op, const void* x, const void* out, int64_t count) {
  return ArgumentChecks(op).size("count", count).pointer("x", x, count > 0).pointer("out", out, count > 0).done();
}

}  // namespace

Status bf16_pack(const CpuContext& context, const float* x, uint16_t* out, int64_t count) {
  ESP_RETURN_IF_ERROR(check("bf16_pack", x, out, count));
  const Bf16Tile* tile = best_variant("bf16", kVariants, context.isa);
  if (tile == nullptr) return bf16_pack_ref(x, out, count);
  for_pieces(context, count, [&](int64_t begin, int64_t n) { tile->pack(x + begin, out + begin, n); });
  return Status::ok();
}

Status bf16_unpack(const CpuContext& context, const uint16_t* x, float* out, int64_t count) {
  ESP_RETURN_IF_ERROR(check("bf16_unpack", x, out, count));
  const Bf16Tile* tile = best_variant("bf16", kVariants, context.isa);
  if (tile == nullptr) return bf16_unpack_ref(x, out, count);
  for_pieces(context, count, [&](int64_t begin, int64_t n) { tile->unpack(x + begin, out + begin, n); });
  return Status::ok();
}

}  // namespace espalier
