// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/swiglu/swiglu.h"
#include "kernels/swiglu/swiglu_tile.h"

namespace espalier {
namespace {

const SwigluRowFn kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(swiglu_avx2), ESP_X86_VARIANT(swiglu_avx512),
                                          nullptr};

Status check(const SwigluArgs& args) {
  const bool any = args.tokens > 0 && args.width > 0;
  return ArgumentChecks("swiglu")
      .size("tokens", args.tokens)
      .size("width", args.width)
      .stride("ld_in", args.ld_in, args.width)
      .stride("ld_out", args.ld_out, args.width)
      .pointer("gate", args.gate, any)
      .pointer("up", args.up, any)
      .pointer("out", args.out, any)
      .done();
}

}  // namespace

Status swiglu(const CpuContext& context, const SwigluArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  const SwigluRowFn row_fn = best_variant("swiglu", kVariants, context.isa);
  if (row_fn == nullptr) return swiglu_ref(args);
  for_row_ranges(context, args.tokens, 4 * args.width, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      row_fn(args.gate + row * args.ld_in, args.up + row * args.ld_in, args.out + row * args.ld_out, args.width);
  });
  return Status::ok();
}

}  // namespace espalier
