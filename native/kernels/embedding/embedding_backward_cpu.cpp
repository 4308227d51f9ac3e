// SPDX-License-Identifier: Apache-2.0
#include "kernels/bias/bias_tile.h"
#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/embedding/embedding_backward.h"

namespace espalier {
namespace {

constexpr int64_t kStrip = 64;  // columns a task owns, over all tokens

const BiasTile* const kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(&bias_tile_avx2),
                                              ESP_X86_VARIANT(&bias_tile_avx512), nullptr};

Status check(const EmbeddingBackwardArgs& args) {
  const bool any = args.tokens > 0 && args.hidden > 0;
  ESP_RETURN_IF_ERROR(ArgumentChecks("embedding_backward")
                          .size("tokens", args.tokens)
                          .size("vocab", args.vocab)
                          .size("hidden", args.hidden)
                          .stride("lddo", args.lddo, args.hidden)
                          .pointer("ids", args.ids, args.tokens > 0)
                          .pointer("dout", args.dout, any)
                          .pointer("dtable", args.dtable, any)
                          .done());
  for (int64_t token = 0; token < args.tokens; ++token)
    if (args.ids[token] < 0 || args.ids[token] >= args.vocab)
      return Status("ERR_TOKEN_ID",
                    format_text("ids[%lld]: expected 0 <= id < %lld (the vocabulary), found %d",
                                static_cast<long long>(token), static_cast<long long>(args.vocab), args.ids[token]));
  return Status::ok();
}

}  // namespace

Status embedding_backward(const CpuContext& context, const EmbeddingBackwardArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  const BiasTile* tile = best_variant("bias", kVariants, context.isa);
  if (tile == nullptr) return embedding_backward_ref(args);
  const int64_t strips = (args.hidden + kStrip - 1) / kStrip;
  for_row_ranges(context, strips, kStrip * args.tokens, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * kStrip, last = end * kStrip < args.hidden ? end * kStrip : args.hidden;
    for (int64_t token = 0; token < args.tokens; ++token) {
      float* row = args.dtable + args.ids[token] * args.hidden + first;
      tile->add(row, args.dout + token * args.lddo + first, row, last - first);
    }
  });
  return Status::ok();
}

}  // namespace espalier
