// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"
#include "kernels/rope/rope.h"

namespace espalier {
namespace {

Status check(const RopeArgs& args) {
  const bool any = args.tokens > 0 && args.heads > 0 && args.half > 0;
  ArgumentChecks checks("rope");
  checks.size("tokens", args.tokens)
      .size("heads", args.heads)
      .size("head_dim", args.head_dim)
      .size("half", args.half)
      .size("table_rows", args.table_rows)
      .at_most("2 * half", 2 * args.half, args.head_dim)
      .stride("ldx", args.ldx, args.heads * args.head_dim)
      .pointer("x", args.x, any)
      .pointer("positions", args.positions, any)
      .pointer("cos", args.cos, any)
      .pointer("sin", args.sin, any);
  for (int64_t token = 0; any && checks.is_ok() && token < args.tokens; ++token)
    checks.index("positions", token, args.positions[token], args.table_rows);
  return checks.done();
}

}  // namespace

Status rope(const CpuContext& context, const RopeArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  return rope_ref(args);
}

}  // namespace espalier
