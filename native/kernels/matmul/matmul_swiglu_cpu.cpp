// matmul_swiglu: gate and up products as one group, then the gating.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "core/thread_pool.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/matmul_plan.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

// Both products; up lands in `up_out` [m, n].
void split_args(const MatmulSwigluArgs& args, float* up_out, MatmulArgs* pair) {
  pair[0] = {args.x, args.ldx, args.gate, args.gate_bias, args.out, args.ldo, args.m, MatmulEpilogue::kStore};
  pair[1] = {args.x, args.ldx, args.up, args.up_bias, up_out, args.up.n, args.m, MatmulEpilogue::kStore};
}

size_t up_bytes(const MatmulSwigluArgs& args) {
  return align64(static_cast<size_t>(args.m) * args.up.n * sizeof(float));
}

}  // namespace

size_t matmul_swiglu_workspace_size(const CpuContext& context, const MatmulSwigluArgs& args) {
  if (args.m <= 0) return 0;
  MatmulArgs pair[2];
  split_args(args, nullptr, pair);
  return up_bytes(args) + matmul_workspace_size(context, pair, 2);
}

Status matmul_swiglu(const CpuContext& context, const MatmulSwigluArgs& args, void* workspace, size_t workspace_size) {
  if (args.gate.n != args.up.n || args.gate.k != args.up.k)
    return Status("ERR_SHAPE", format_text("matmul_swiglu: gate is [%lld, %lld], up [%lld, %lld]",
                                           static_cast<long long>(args.gate.n), static_cast<long long>(args.gate.k),
                                           static_cast<long long>(args.up.n), static_cast<long long>(args.up.k)));
  if (args.m == 0 || args.up.n == 0) return Status::ok();
  const size_t own = args.m > 0 ? up_bytes(args) : 0;
  if (own > workspace_size || workspace == nullptr)
    return Status("ERR_WORKSPACE", format_text("matmul_swiglu: workspace of %zu bytes, %zu needed", workspace_size,
                                               matmul_swiglu_workspace_size(context, args)));
  MatmulArgs pair[2];
  float* up = static_cast<float*>(workspace);
  split_args(args, up, pair);
  ESP_RETURN_IF_ERROR(matmul(context, pair, 2, static_cast<char*>(workspace) + own, workspace_size - own));
  const int64_t n = args.up.n;
  context.pool->run_ranges(args.m * n, 1024, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      float* out = args.out + i / n * args.ldo + i % n;
      *out = *out / (1.0f + std::exp(-*out)) * up[i];
    }
  });
  return Status::ok();
}

}  // namespace espalier
