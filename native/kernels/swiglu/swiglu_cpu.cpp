// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"
#include "kernels/swiglu/swiglu.h"

namespace espalier {
namespace {

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
  return swiglu_ref(args);
}

}  // namespace espalier
