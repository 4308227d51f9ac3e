// SPDX-License-Identifier: Apache-2.0
#include "kernels/bias/bias.h"
#include "kernels/bias/bias_tile.h"
#include "kernels/checks.h"
#include "kernels/dispatch.h"

namespace espalier {
namespace {

constexpr int64_t kStrip = 64;  // columns a task sums: four cache lines of every row

const BiasTile* const kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(&bias_tile_avx2),
                                              ESP_X86_VARIANT(&bias_tile_avx512), nullptr};

}  // namespace

Status bias_rows(const CpuContext& context, const BiasRowsArgs& args) {
  const bool any = args.tokens > 0 && args.width > 0;
  ESP_RETURN_IF_ERROR(ArgumentChecks("bias_rows")
                          .size("tokens", args.tokens)
                          .size("width", args.width)
                          .stride("ldx", args.x != nullptr ? args.ldx : args.width, args.width)
                          .stride("ldo", args.ldo, args.width)
                          .pointer("out", args.out, any)
                          .done());
  const BiasTile* tile = best_variant("bias", kVariants, context.isa);
  if (tile == nullptr) return bias_rows_ref(args);
  for_row_ranges(context, args.tokens, args.width, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      tile->add(args.x != nullptr ? args.x + row * args.ldx : nullptr, args.bias, args.out + row * args.ldo,
                args.width);
  });
  return Status::ok();
}

Status bias_backward(const CpuContext& context, const BiasBackwardArgs& args) {
  const bool any = args.tokens > 0 && args.width > 0;
  ESP_RETURN_IF_ERROR(ArgumentChecks("bias_backward")
                          .size("tokens", args.tokens)
                          .size("width", args.width)
                          .stride("lddo", args.lddo, args.width)
                          .pointer("dout", args.dout, any)
                          .pointer("dbias", args.dbias, any)
                          .done());
  const BiasTile* tile = best_variant("bias", kVariants, context.isa);
  if (tile == nullptr) return bias_backward_ref(args);
  const int64_t strips = (args.width + kStrip - 1) / kStrip;
  for_row_ranges(context, strips, kStrip * args.tokens, [&](int64_t begin, int64_t end) {
    for (int64_t strip = begin; strip < end; ++strip) {
      const int64_t first = strip * kStrip, left = args.width - first;
      tile->column_sums(args.dout + first, args.lddo, args.tokens, left < kStrip ? left : kStrip, args.dbias + first);
    }
  });
  return Status::ok();
}

}  // namespace espalier
