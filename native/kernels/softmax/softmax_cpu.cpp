// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"
#include "kernels/softmax/softmax.h"
#include "kernels/softmax/softmax_tile.h"

namespace espalier {
namespace {

Status check(const SoftmaxArgs& args) {
  const bool any = args.rows > 0 && args.width > 0;
  return ArgumentChecks("softmax")
      .size("rows", args.rows)
      .size("width", args.width)
      .stride("ldx", args.ldx, args.width)
      .stride("ldo", args.ldo, args.width)
      .pointer("x", args.x, any)
      .pointer("out", args.out, any)
      .done();
}

Status check(const TokenLogprobArgs& args) {
  ArgumentChecks checks("token_logprob");
  checks.size("rows", args.rows)
      .positive("width", args.width)
      .stride("ldx", args.ldx, args.width)
      .pointer("x", args.x, args.rows > 0)
      .pointer("target", args.target, args.rows > 0)
      .pointer("out", args.out, args.rows > 0);
  for (int64_t row = 0; checks.is_ok() && row < args.rows; ++row)
    checks.index("target", row, args.target[row], args.width);
  return checks.done();
}

}  // namespace

const SoftmaxTile& softmax_tile(Isa isa) { return softmax_tile_ref; }

Status softmax(const CpuContext& context, const SoftmaxArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  return softmax_ref(args);
}

Status token_logprob(const CpuContext& context, const TokenLogprobArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  return token_logprob_ref(args);
}

}  // namespace espalier
