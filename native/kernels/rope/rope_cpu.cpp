// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/rope/rope.h"
#include "kernels/rope/rope_tile.h"

namespace espalier {
namespace {

const RopeTokenFn kHalfVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(rope_half_avx2),
                                              ESP_X86_VARIANT(rope_half_avx512), nullptr};
const RopeTokenFn kInterleavedVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(rope_interleaved_avx2), nullptr, nullptr};

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
  const RopeTokenFn token_fn =
      best_variant("rope", args.interleaved ? kInterleavedVariants : kHalfVariants, context.isa);
  if (token_fn == nullptr) return rope_ref(args);
  for_row_ranges(context, args.tokens, args.heads * args.head_dim, [&](int64_t begin, int64_t end) {
    for (int64_t token = begin; token < end; ++token) {
      const int64_t row = args.positions[token] * args.half;
      token_fn(args.x + token * args.ldx, args.heads, args.head_dim, args.half, args.cos + row, args.sin + row);
    }
  });
  return Status::ok();
}

}  // namespace espalier
