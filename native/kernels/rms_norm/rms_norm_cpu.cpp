// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/rms_norm/rms_norm.h"
#include "kernels/rms_norm/rms_norm_tile.h"

namespace espalier {
namespace {

const RmsNormRowsFn kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(rms_norm_avx2), ESP_X86_VARIANT(rms_norm_avx512),
                                            nullptr};

Status check(const RmsNormArgs& args) {
  const bool any = args.tokens > 0 && args.hidden > 0;
  return ArgumentChecks("rms_norm")
      .size("tokens", args.tokens)
      .size("hidden", args.hidden)
      .stride("ldx", args.ldx, args.hidden)
      .stride("ldo", args.ldo, args.hidden)
      .pointer("x", args.x, any)
      .pointer("weight", args.weight, any)
      .pointer("out", args.out, any)
      .done();
}

}  // namespace

Status rms_norm(const CpuContext& context, const RmsNormArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  const RmsNormRowsFn rows = best_variant("rms_norm", kVariants, context.isa);
  if (rows == nullptr) return rms_norm_ref(args);
  for_row_ranges(context, args.tokens, args.hidden, [&](int64_t begin, int64_t end) {
    rows(args.x + begin * args.ldx, args.ldx, args.weight, args.out + begin * args.ldo, args.ldo, end - begin,
         args.hidden, args.eps);
  });
  return Status::ok();
}

}  // namespace espalier
