// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/rms_norm/rms_norm_backward.h"
#include "kernels/rms_norm/rms_norm_backward_tile.h"
#include "kernels/row_blocks.h"

namespace espalier {
namespace {

const RmsNormBackwardRowsFn kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(rms_norm_backward_avx2),
                                                    ESP_X86_VARIANT(rms_norm_backward_avx512), nullptr};

Status check(const RmsNormBackwardArgs& args) {
  const bool any = args.tokens > 0 && args.hidden > 0;
  return ArgumentChecks("rms_norm_backward")
      .size("tokens", args.tokens)
      .size("hidden", args.hidden)
      .stride("ldx", args.ldx, args.hidden)
      .stride("lddo", args.lddo, args.hidden)
      .stride("lddx", args.lddx, args.hidden)
      .stride("ldn", args.normed != nullptr ? args.ldn : args.hidden, args.hidden)
      .pointer("x", args.x, any)
      .pointer("weight", args.weight, any)
      .pointer("dout", args.dout, any)
      .pointer("dx", args.dx, any)
      .done();
}

}  // namespace

size_t rms_norm_backward_workspace_size(const CpuContext& context, const RmsNormBackwardArgs& args) {
  if (best_variant("rms_norm_backward", kVariants, context.isa) == nullptr) return 0;
  return static_cast<size_t>(row_block_count(args.tokens) * args.hidden) * sizeof(float);
}

Status rms_norm_backward(const CpuContext& context, const RmsNormBackwardArgs& args, void* workspace, size_t size) {
  ESP_RETURN_IF_ERROR(check(args));
  const RmsNormBackwardRowsFn rows_fn = best_variant("rms_norm_backward", kVariants, context.isa);
  if (rows_fn == nullptr) return rms_norm_backward_ref(args);
  ESP_RETURN_IF_ERROR(ArgumentChecks("rms_norm_backward")
                          .workspace(workspace, size, rms_norm_backward_workspace_size(context, args))
                          .done());
  sum_row_blocks(context, args.tokens, args.hidden, static_cast<float*>(workspace), args.dweight,
                 [&](int64_t begin, int64_t end, float* dweight) {
                   rows_fn({args.x + begin * args.ldx, args.ldx, args.weight, args.dout + begin * args.lddo, args.lddo,
                            args.dx + begin * args.lddx, args.lddx, dweight,
                            args.normed != nullptr ? args.normed + begin * args.ldn : nullptr, args.ldn, end - begin,
                            args.hidden, args.eps});
                 });
  return Status::ok();
}

}  // namespace espalier
