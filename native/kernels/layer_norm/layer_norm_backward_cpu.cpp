// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/layer_norm/layer_norm_backward.h"
#include "kernels/layer_norm/layer_norm_backward_tile.h"
#include "kernels/row_blocks.h"

namespace espalier {
namespace {

const LayerNormBackwardRowsFn kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(layer_norm_backward_avx2),
                                                      ESP_X86_VARIANT(layer_norm_backward_avx512), nullptr};

Status check(const LayerNormBackwardArgs& args) {
  const bool any = args.tokens > 0 && args.hidden > 0;
  return ArgumentChecks("layer_norm_backward")
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

size_t layer_norm_backward_workspace_size(const CpuContext& context, const LayerNormBackwardArgs& args) {
  if (best_variant("layer_norm_backward", kVariants, context.isa) == nullptr) return 0;
  return static_cast<size_t>(row_block_count(args.tokens) * 2 * args.hidden) * sizeof(float);
}

Status layer_norm_backward(const CpuContext& context, const LayerNormBackwardArgs& args, void* workspace, size_t size) {
  ESP_RETURN_IF_ERROR(check(args));
  const LayerNormBackwardRowsFn rows_fn = best_variant("layer_norm_backward", kVariants, context.isa);
  if (rows_fn == nullptr) return layer_norm_backward_ref(args);
  ESP_RETURN_IF_ERROR(ArgumentChecks("layer_norm_backward")
                          .workspace(workspace, size, layer_norm_backward_workspace_size(context, args))
                          .done());
  // a block's partial sums: of dweight, then of dbias
  float* partials = static_cast<float*>(workspace);
  sum_row_blocks(context, args.tokens, 2 * args.hidden, partials, nullptr,
                 [&](int64_t begin, int64_t end, float* partial) {
                   rows_fn({args.x + begin * args.ldx, args.ldx, args.weight, args.bias, args.dout + begin * args.lddo,
                            args.lddo, args.dx + begin * args.lddx, args.lddx, partial, partial + args.hidden,
                            args.normed != nullptr ? args.normed + begin * args.ldn : nullptr, args.ldn, end - begin,
                            args.hidden, args.eps});
                 });
  for (int64_t block = 0; block < row_block_count(args.tokens); ++block, partials += 2 * args.hidden)
    for (int64_t i = 0; i < args.hidden; ++i) {
      if (args.dweight != nullptr) args.dweight[i] += partials[i];
      if (args.dbias != nullptr) args.dbias[i] += partials[args.hidden + i];
    }
  return Status::ok();
}

}  // namespace espalier
