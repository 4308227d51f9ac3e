// SPDX-License-Identifier: Apache-2.0
#include "kernels/matmul/matmul_plan.h"

#include "core/cpu_features.h"
#include "core/thread_pool.h"
#include "quant/panel_layout.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

// A task of the streaming kernels reads about this much: long enough for the prefetchers, short enough to balance.
constexpr size_t kMinTaskBytes = 96 * 1024;
constexpr int64_t kTasksPerThread = 6;
// A task of the blocked kernels covers at most this much of the output; its activations and output stay in L2.
constexpr int64_t kRowsPerTask = 168;
// Converting fewer activations than this is not worth a fork.
constexpr int64_t kSerialStage = 32768;

size_t max_size(size_t a, size_t b) { return a > b ? a : b; }

int stage_of(MatmulPlan* plan, const ActivationStage* stage, int64_t tile_rows, const PackedMatrix& weight) {
  if (stage == nullptr) return -1;
  const float input_scale = input_scale_of(weight);
  for (int i = 0; i < plan->stage_count; ++i) {
    const StagePlan& known = plan->stages[i];
    if (known.stage == stage && known.tile_rows == tile_rows && known.input_scale == input_scale) return i;
  }
  plan->stages[plan->stage_count] = {stage, tile_rows, input_scale, stage->row_words(weight.k), 0, 0};
  return plan->stage_count++;
}

void plan_rows(ProductPlan* product, int64_t threads, size_t own_bytes, size_t group_bytes) {
  const LinearProblem& p = product->problem;
  const int64_t panels = panel_count(p.n);
  const size_t panel_bytes = max_size(own_bytes / max_size(panels, 1), 1);
  const size_t wanted = max_size(group_bytes / (threads * kTasksPerThread), kMinTaskBytes);
  const int64_t per_task = round_up(ceil_div(static_cast<int64_t>(wanted), static_cast<int64_t>(panel_bytes)), 4);
  product->panels_per_task = threads == 1 ? max_size(panels, 1) : per_task;
  product->tiles_per_task = 1;
  product->row_blocks = 1;
  product->panel_blocks = ceil_div(panels, product->panels_per_task);
}

void plan_product(const MatmulArgs& args, const LinearKernel* kernel, MatmulPlan* plan, ProductPlan* product) {
  product->kernel = kernel;
  product->tiles = args.m > kernel->rows_limit;
  LinearProblem& p = product->problem;
  p.weight = args.weight.data;
  p.bias = args.bias;
  p.out = args.out;
  p.ldo = args.ldo;
  p.out_row = p.out_panel = 0;
  p.m = args.m;
  p.n = args.weight.n;
  p.k = args.weight.k;
  p.accumulate = args.epilogue == MatmulEpilogue::kAccumulate;
  p.group = args.weight.format->group;
  p.tile_rows = product->tiles ? tile_rows_of(args.m, kernel->max_tile_rows) : 1;
  product->stage_index =
      stage_of(plan, product->tiles ? kernel->tiles_stage : kernel->rows_stage, p.tile_rows, args.weight);
  p.x = args.x;
  p.x_stride = args.ldx;
  p.x_scale = nullptr;
  if (product->tiles) plan->thread_scratch_bytes = max_size(plan->thread_scratch_bytes, tile_scratch_bytes(*product));
}

// Sizes never shrink as m grows, so a workspace measured for the largest m serves every smaller one.
void plan_workspace(MatmulPlan* plan, int64_t m, int64_t threads) {
  size_t offset = 0;
  for (int i = 0; i < plan->stage_count; ++i) {
    StagePlan& stage = plan->stages[i];
    stage.words_offset = offset;
    offset += align64(static_cast<size_t>(round_up(m, stage.tile_rows)) * stage.k_words * 4);
    stage.scale_offset = offset;
    offset += align64(static_cast<size_t>(m) * sizeof(float));
  }
  plan->thread_scratch_offset = offset;
  plan->workspace_bytes = offset + plan->thread_scratch_bytes * threads;
}

void run_stage(const CpuContext& context, const MatmulArgs& args, const StagePlan& stage, char* workspace) {
  const int64_t k = args.weight.k;
  const int64_t tiles = ceil_div(args.m, stage.tile_rows);
  uint32_t* words = reinterpret_cast<uint32_t*>(workspace + stage.words_offset);
  float* scale = reinterpret_cast<float*>(workspace + stage.scale_offset);
  const auto convert = [&](int64_t tile) {
    const int64_t row = tile * stage.tile_rows;
    const int64_t rows = args.m - row < stage.tile_rows ? args.m - row : stage.tile_rows;
    stage.stage->run(args.x + row * args.ldx, args.ldx, rows, k, stage.tile_rows, words + row * stage.k_words,
                     scale + row, stage.input_scale);
  };
  if (args.m * k > kSerialStage) return context.pool->run(tiles, [&](int64_t tile, int) { convert(tile); });
  for (int64_t tile = 0; tile < tiles; ++tile) convert(tile);
}

}  // namespace

int64_t panels_per_task() {
  static const int64_t panels = [] {
    const int64_t fit = cpu_features().l2_bytes / (6 * kRowsPerTask * 64) / 2 * 2;
    return fit < 16 ? int64_t{16} : fit > 32 ? int64_t{32} : fit;
  }();
  return panels;
}

int64_t tile_rows_of(int64_t m, int64_t most) { return ceil_div(m, ceil_div(m, most)); }

void plan_tiles(ProductPlan* product, int64_t threads) {
  LinearProblem& p = product->problem;
  const int64_t panels = panel_count(p.n);
  const int64_t tiles = ceil_div(p.m, p.tile_rows);
  product->row_blocks = ceil_div(tiles * p.tile_rows, kRowsPerTask);
  product->tiles_per_task = ceil_div(tiles, product->row_blocks);
  product->row_blocks = ceil_div(tiles, product->tiles_per_task);
  const int64_t wanted_blocks = ceil_div(threads * kTasksPerThread, product->row_blocks);
  const int64_t most = panels_per_task();
  const int64_t per_task = threads == 1 ? most : round_up(ceil_div(panels, wanted_blocks), 2);
  product->panels_per_task = per_task < 1 ? 1 : per_task < most ? per_task : most;
  product->panel_blocks = ceil_div(panels, product->panels_per_task);
}

int64_t task_rows(const ProductPlan& product) {
  const LinearProblem& p = product.problem;
  const int64_t rows = round_up(p.m, p.tile_rows), most = kRowsPerTask + p.tile_rows;
  return rows < most ? rows : most;
}

size_t tile_scratch_bytes(const ProductPlan& product) {
  const LinearKernel& kernel = *product.kernel;
  if (kernel.scratch_bytes == nullptr) return 0;
  return align64(kernel.scratch_bytes(product.problem.k, task_rows(product), panels_per_task()));
}

TaskRange task_range(const ProductPlan& product, int64_t task) {
  const int64_t panels = panel_count(product.problem.n);
  const int64_t tiles = ceil_div(product.problem.m, product.problem.tile_rows);
  TaskRange range;
  range.panel = task / product.row_blocks * product.panels_per_task;
  range.panel_end = range.panel + product.panels_per_task < panels ? range.panel + product.panels_per_task : panels;
  range.tile = task % product.row_blocks * product.tiles_per_task;
  range.tile_end = range.tile + product.tiles_per_task < tiles ? range.tile + product.tiles_per_task : tiles;
  return range;
}

void run_range(const ProductPlan& product, const LinearProblem& problem, const TaskRange& range, void* scratch) {
  if (product.tiles)
    product.kernel->run_tiles(problem, range.tile, range.tile_end, range.panel, range.panel_end, scratch);
  else
    product.kernel->run_rows(problem, range.panel, range.panel_end);
}

void plan_matmul(const CpuContext& context, const MatmulArgs* args, int count, MatmulPlan* plan) {
  const int64_t threads = context.pool->threads();
  plan->count = count;
  size_t group_bytes = 0;
  for (int i = 0; i < count; ++i) {
    const PackedMatrix& weight = args[i].weight;
    group_bytes += weight.format->packed_bytes(weight.n, weight.k);
    plan_product(args[i], select_linear_kernel(*weight.format, context.isa), plan, &plan->products[i]);
  }
  for (int i = 0; i < count; ++i) {
    ProductPlan* product = &plan->products[i];
    if (product->tiles)
      plan_tiles(product, threads);
    else
      plan_rows(product, threads, args[i].weight.format->packed_bytes(product->problem.n, product->problem.k),
                group_bytes);
    plan->tasks += product->row_blocks * product->panel_blocks;
  }
  plan_workspace(plan, args[0].m, threads);
}

void prepare_activations(const CpuContext& context, const MatmulArgs* args, MatmulPlan* plan, void* workspace) {
  char* base = static_cast<char*>(workspace);
  for (int i = 0; i < plan->stage_count; ++i) run_stage(context, args[0], plan->stages[i], base);
  for (int i = 0; i < plan->count; ++i) {
    ProductPlan& product = plan->products[i];
    if (product.stage_index < 0) continue;
    const StagePlan& stage = plan->stages[product.stage_index];
    product.problem.x = base + stage.words_offset;
    product.problem.x_stride = stage.k_words;
    product.problem.x_scale = reinterpret_cast<const float*>(base + stage.scale_offset);
  }
}

void run_matmul_plan(const CpuContext& context, const MatmulPlan& plan, void* workspace) {
  context.pool->run(plan.tasks, [&](int64_t task, int thread) {
    for (int i = 0; i < plan.count; ++i) {
      const ProductPlan& product = plan.products[i];
      const int64_t own = product.row_blocks * product.panel_blocks;
      if (task < own)
        return run_range(product, product.problem, task_range(product, task), plan.thread_scratch(workspace, thread));
      task -= own;
    }
  });
}

}  // namespace espalier
