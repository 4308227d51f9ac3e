// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/swiglu/swiglu_backward.h"
#include "kernels/swiglu/swiglu_backward_tile.h"

namespace espalier {
namespace {

const SwigluBackwardRowFn kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(swiglu_backward_avx2),
                                                  ESP_X86_VARIANT(swiglu_backward_avx512), nullptr};

Status check(const SwigluBackwardArgs& args) {
  const bool any = args.tokens > 0 && args.width > 0;
  return ArgumentChecks("swiglu_backward")
      .size("tokens", args.tokens)
      .size("width", args.width)
      .stride("ld_in", args.ld_in, args.width)
      .stride("ld_out", args.ld_out, args.width)
      .pointer("gate", args.gate, any)
      .pointer("up", args.up, any)
      .pointer("dout", args.dout, any)
      .pointer("dgate", args.dgate, any)
      .pointer("dup", args.dup, any)
      .done();
}

}  // namespace

Status swiglu_backward(const CpuContext& context, const SwigluBackwardArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  const SwigluBackwardRowFn row_fn = best_variant("swiglu_backward", kVariants, context.isa);
  if (row_fn == nullptr) return swiglu_backward_ref(args);
  for_row_ranges(context, args.tokens, 4 * args.width, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t in = row * args.ld_in, out = row * args.ld_out;
      row_fn(args.gate + in, args.up + in, args.dout + out, args.dgate + in, args.dup + in,
             args.out != nullptr ? args.out + out : nullptr, args.width);
    }
  });
  return Status::ok();
}

}  // namespace espalier
