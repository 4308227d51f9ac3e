// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"
#include "kernels/rms_norm/rms_norm.h"

namespace espalier {
namespace {

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
  return rms_norm_ref(args);
}

}  // namespace espalier
