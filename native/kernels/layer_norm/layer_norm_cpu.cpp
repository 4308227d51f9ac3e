// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"
#include "kernels/layer_norm/layer_norm.h"

namespace espalier {
namespace {

Status check(const LayerNormArgs& args) {
  const bool any = args.tokens > 0 && args.hidden > 0;
  return ArgumentChecks("layer_norm")
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

Status layer_norm(const CpuContext& context, const LayerNormArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  return layer_norm_ref(args);
}

}  // namespace espalier
