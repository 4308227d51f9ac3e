// matmul_swiglu: a task computes the same block of the gate and the up product into scratch and gates it from there, so
// neither product travels through memory. Weights of two formats, and the reference, go one after the other.
// SPDX-License-Identifier: Apache-2.0
#include "core/thread_pool.h"
#include "kernels/dispatch.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/matmul_plan.h"
#include "kernels/swiglu/swiglu.h"
#include "kernels/swiglu/swiglu_tile.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

// A task of the streaming kernels covers at most this much of the output; it stays in L1.
constexpr int64_t kStreamRows = 8;
constexpr int64_t kStreamPanels = 64;

const SwigluRowFn kGates[kIsaCount] = {nullptr, ESP_X86_VARIANT(swiglu_avx2), ESP_X86_VARIANT(swiglu_avx512), nullptr};

struct SwigluPlan {
  MatmulPlan matmul;
  bool fused;
  size_t buffer_offset;  // of the first thread's gate block, then its up block; unfused: gate [m, n], then up [m, n]
  size_t buffer_bytes;   // of one block
  size_t workspace_bytes;
};

void split_args(const MatmulSwigluArgs& args, float* gate, float* up, MatmulArgs* pair) {
  pair[0] = {args.x, args.ldx, args.gate, args.gate_bias, gate, args.gate.n, args.m, MatmulEpilogue::kStore};
  pair[1] = {args.x, args.ldx, args.up, args.up_bias, up, args.up.n, args.m, MatmulEpilogue::kStore};
}

// Bytes of one block of output; never fewer when m grows.
size_t block_bytes(const ProductPlan& product) {
  const int64_t stream = kStreamRows * kStreamPanels, tiles = task_rows(product) * panels_per_task();
  return static_cast<size_t>(stream > tiles ? stream : tiles) * kPanel * sizeof(float);
}

void plan_swiglu(const CpuContext& context, const MatmulSwigluArgs& args, SwigluPlan* plan) {
  MatmulArgs pair[2];
  split_args(args, nullptr, nullptr, pair);
  plan_matmul(context, pair, 2, &plan->matmul);
  ProductPlan* products = plan->matmul.products;
  const bool gates = context.isa != Isa::kRef;  // the reference of swiglu takes whole products
  plan->fused = gates && args.gate.format == args.up.format && products[0].kernel->tiles_stage != nullptr;
  plan->buffer_offset = plan->matmul.workspace_bytes;
  if (!plan->fused) {
    plan->buffer_bytes = align64(static_cast<size_t>(args.m) * args.up.n * sizeof(float));
    plan->workspace_bytes = plan->buffer_offset + 2 * plan->buffer_bytes;
    return;
  }
  ProductPlan& gate = products[0];
  if (!gate.tiles && gate.panels_per_task > kStreamPanels) {
    gate.panels_per_task = kStreamPanels;
    gate.panel_blocks = ceil_div(panel_count(gate.problem.n), kStreamPanels);
  }
  plan->buffer_bytes = block_bytes(gate);
  plan->workspace_bytes = plan->buffer_offset + 2 * plan->buffer_bytes * context.pool->threads();
}

void run_fused(const CpuContext& context, const MatmulSwigluArgs& args, const SwigluPlan& plan, char* workspace) {
  const SwigluRowFn gate_row = best_variant("matmul_swiglu", kGates, context.isa);
  const ProductPlan& gate = plan.matmul.products[0];
  context.pool->run(gate.row_blocks * gate.panel_blocks, [&](int64_t task, int thread) {
    const TaskRange range = task_range(gate, task);
    const int64_t row = range.tile * gate.problem.tile_rows, column = range.panel * kPanel;
    const int64_t row_end = gate.tiles ? range.tile_end * gate.problem.tile_rows : args.m;
    const int64_t rows = (row_end < args.m ? row_end : args.m) - row;
    const int64_t width = (range.panel_end - range.panel) * kPanel;
    const int64_t columns = args.up.n - column < width ? args.up.n - column : width;
    float* blocks[2];
    for (int i = 0; i < 2; ++i) {
      blocks[i] = reinterpret_cast<float*>(workspace + plan.buffer_offset + (2 * thread + i) * plan.buffer_bytes);
      LinearProblem problem = plan.matmul.products[i].problem;
      problem.out = blocks[i];
      problem.ldo = width;
      problem.out_row = row;
      problem.out_panel = range.panel;
      run_range(gate, problem, range, plan.matmul.thread_scratch(workspace, thread));
    }
    for (int64_t i = 0; i < rows; ++i)
      gate_row(blocks[0] + i * width, blocks[1] + i * width, args.out + (row + i) * args.ldo + column, columns);
  });
}

Status run_unfused(const CpuContext& context, const MatmulSwigluArgs& args, const SwigluPlan& plan, char* workspace) {
  float* gate = reinterpret_cast<float*>(workspace + plan.buffer_offset);
  float* up = reinterpret_cast<float*>(workspace + plan.buffer_offset + plan.buffer_bytes);
  MatmulArgs pair[2];
  split_args(args, gate, up, pair);
  ESP_RETURN_IF_ERROR(matmul(context, pair, 2, workspace, plan.buffer_offset));
  return swiglu(context, {gate, up, args.out, args.up.n, args.ldo, args.m, args.up.n});
}

Status check_swiglu(const MatmulSwigluArgs& args) {
  if (args.gate.n != args.up.n || args.gate.k != args.up.k)
    return Status("ERR_SHAPE", format_text("matmul_swiglu: gate is [%lld, %lld], up [%lld, %lld]",
                                           static_cast<long long>(args.gate.n), static_cast<long long>(args.gate.k),
                                           static_cast<long long>(args.up.n), static_cast<long long>(args.up.k)));
  MatmulArgs pair[2];
  split_args(args, args.out, args.out, pair);
  pair[0].ldo = pair[1].ldo = args.ldo;
  return check_matmul(pair, 2);
}

}  // namespace

size_t matmul_swiglu_workspace_size(const CpuContext& context, const MatmulSwigluArgs& args) {
  if (args.m <= 0) return 0;
  SwigluPlan plan;
  plan_swiglu(context, args, &plan);
  return plan.workspace_bytes;
}

Status matmul_swiglu(const CpuContext& context, const MatmulSwigluArgs& args, void* workspace, size_t workspace_size) {
  ESP_RETURN_IF_ERROR(check_swiglu(args));
  if (args.m == 0 || args.up.n == 0) return Status::ok();
  SwigluPlan plan;
  plan_swiglu(context, args, &plan);
  if (plan.workspace_bytes > workspace_size || workspace == nullptr)
    return Status("ERR_WORKSPACE", format_text("matmul_swiglu: workspace of %zu bytes, %zu needed", workspace_size,
                                               plan.workspace_bytes));
  if (!plan.fused || args.up.k == 0) return run_unfused(context, args, plan, static_cast<char*>(workspace));
  MatmulArgs pair[2];
  split_args(args, nullptr, nullptr, pair);
  prepare_activations(context, pair, &plan.matmul, workspace);
  run_fused(context, args, plan, static_cast<char*>(workspace));
  return Status::ok();
}

}  // namespace espalier
