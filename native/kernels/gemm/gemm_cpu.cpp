// The gemm driver: C is cut into blocks, one task each. A task walks down k; it packs its own piece of B into panels
// and of A into tiles, both small enough for its L2 cache, and runs the f32 matmul kernel over them. Packing the same
// piece in several tasks costs less than sharing it: shared copies go through memory and wait for one another.
// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "core/cpu_features.h"
#include "core/thread_pool.h"
#include "kernels/dispatch.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_check.h"
#include "kernels/gemm/gemm_pack.h"
#include "kernels/matmul/matmul_plan.h"
#include "quant/panel_layout.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

// Cuts of k twice as deep, tasks of fewer rows or columns, and shared packed copies of whole operands (16 MiB at a
// time) were all slower on Sapphire Rapids: the last gave 0.68 of matmul's speed at dYᵀ X of 4096 tokens, 256 x 2048,
// where this gives 0.92.
constexpr int64_t kDepth = 256;                  // of a cut of k
constexpr int64_t kPackedRows = 168;             // rows of A packed at a time: 168 KiB
constexpr int64_t kMostRows = 12 * kPackedRows;  // of a task
// Packing a value of A or B takes about as long as this many products of it with 16 columns.
constexpr double kPackCost = 2;
// How long all wait for the last thread, in tasks: cores are not equally fast, or share with others.
constexpr double kHeldUp = 0.15;

// Columns of a task: its piece of B takes three eighths of the L2 cache.
int64_t most_panels() {
  static const int64_t panels = [] {
    const int64_t fit = cpu_features().l2_bytes * 3 / 8 / (kPanel * kDepth * static_cast<int64_t>(sizeof(float)));
    return fit < 12 ? int64_t{12} : fit > 48 ? int64_t{48} : fit / 2 * 2;
  }();
  return panels;
}

const GemmPackFn kPackVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(gemm_pack_slots_avx2),
                                             ESP_X86_VARIANT(gemm_pack_slots_avx512), nullptr};

int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

struct GemmPlan {
  const LinearKernel* kernel;
  GemmPackFn pack_slots;
  int64_t tile_rows, tiles, panels, depth;
  int64_t tiles_per_task, panels_per_task;
  int64_t row_tasks, column_tasks;
  size_t a_offset, scratch_offset, thread_bytes;
};

const LinearKernel* kernel_of(const CpuContext& context) {
  return select_linear_kernel(*find_weight_format("f32"), context.isa);
}

// How many tasks across rows and columns finish soonest: few and large (little packing), but evenly spread.
void cut_tasks(GemmPlan* plan, int64_t threads) {
  const int64_t most_tiles = kMostRows / plan->tile_rows > 0 ? kMostRows / plan->tile_rows : 1;
  const int64_t rows_from = ceil_div(plan->tiles, most_tiles), columns_from = ceil_div(plan->panels, most_panels());
  double best = 0;
  for (int64_t r = rows_from; r <= plan->tiles && r < rows_from + 4 * threads; ++r)
    for (int64_t c = columns_from; c <= plan->panels && c < columns_from + 4 * threads; ++c) {
      const int64_t tiles = ceil_div(plan->tiles, r), panels = round_up(ceil_div(plan->panels, c), c == 1 ? 1 : 2);
      const double rows = static_cast<double>(tiles * plan->tile_rows), columns = static_cast<double>(panels);
      const int64_t tasks = ceil_div(plan->tiles, tiles) * ceil_div(plan->panels, panels);
      const double rounds = static_cast<double>(ceil_div(tasks, threads)) + (threads > 1 ? kHeldUp : 0);
      const double cost = rounds * (rows * columns + kPackCost * (rows + columns * kPanel));
      if (best != 0 && cost >= best) continue;
      best = cost;
      plan->tiles_per_task = tiles;
      plan->panels_per_task = panels;
    }
  plan->row_tasks = ceil_div(plan->tiles, plan->tiles_per_task);
  plan->column_tasks = ceil_div(plan->panels, plan->panels_per_task);
}

int64_t tiles_packed(const GemmPlan& plan) {
  const int64_t fit = kPackedRows / plan.tile_rows > 0 ? kPackedRows / plan.tile_rows : 1;
  return fit < plan.tiles_per_task ? fit : plan.tiles_per_task;
}

GemmPlan plan_gemm(const CpuContext& context, const GemmArgs& args) {
  GemmPlan plan{};
  plan.kernel = kernel_of(context);
  plan.pack_slots = best_variant("gemm_pack", kPackVariants, context.isa);
  plan.tile_rows = tile_rows_of(args.m, plan.kernel->max_tile_rows);
  plan.tiles = ceil_div(args.m, plan.tile_rows);
  plan.panels = panel_count(args.n);
  plan.depth = ceil_div(args.k, ceil_div(args.k, kDepth));
  cut_tasks(&plan, context.pool->threads());
  // Bounds, not what this plan packs: a workspace measured for the largest m, n and k serves every smaller one.
  const int64_t rows = smaller(kPackedRows, args.m + plan.kernel->max_tile_rows - 1);
  const int64_t panels = smaller(most_panels(), round_up(plan.panels, 2)), depth = smaller(kDepth, args.k);
  plan.a_offset = align64(panels * kPanel * depth * sizeof(float));
  plan.scratch_offset = plan.a_offset + align64(rows * depth * sizeof(float));
  const auto scratch_bytes = plan.kernel->scratch_bytes;
  plan.thread_bytes =
      plan.scratch_offset + (scratch_bytes != nullptr ? align64(scratch_bytes(depth, rows, panels)) : 0);
  return plan;
}

// Lines [first, first + lines) of one operand over [k, k + depth) -> slots of `width` lines, [slot][depth][width].
// along_k: the stored rows are the lines; otherwise each stored row holds one k of every line.
struct Piece {
  const float* matrix;
  int64_t stride;
  bool along_k;
  int64_t first, lines, width;
  int64_t k, depth;
  float* out;
};

void pack_piece(const GemmPlan& plan, const Piece& p) {
  for (int64_t line = 0; line < p.lines;) {
    const int64_t slots = p.along_k ? 1 : kGemmSlotsPerPack;
    const int64_t lines = p.lines - line < slots * p.width ? p.lines - line : slots * p.width;
    const int64_t from = p.first + line;
    float* out = p.out + line * p.depth;
    if (p.along_k)
      plan.kernel->tiles_stage->run(p.matrix + from * p.stride + p.k, p.stride, lines, p.depth, p.width,
                                    reinterpret_cast<uint32_t*>(out), nullptr, 0.0f);
    else
      plan.pack_slots({p.matrix + p.k * p.stride + from, p.stride, p.depth, lines, p.width, out, p.depth * p.width});
    line += lines;
  }
}

// Rows [tile, tile + tiles) and columns [panel, panel + panels) of C over [k, k + depth).
struct Block {
  int64_t tile, tiles, panel, panels, k, depth;
};

void run_block(const GemmPlan& plan, const GemmArgs& args, const Block& block, char* memory) {
  float* b = reinterpret_cast<float*>(memory);
  float* a = reinterpret_cast<float*>(memory + plan.a_offset);
  const int64_t column = block.panel * kPanel, columns = smaller(args.n - column, block.panels * kPanel);
  pack_piece(plan, {args.b, args.ldb, args.transpose_b, column, columns, kPanel, block.k, block.depth, b});
  if (args.alpha != 1.0f)
    for (int64_t i = 0; i < block.panels * kPanel * block.depth; ++i) b[i] *= args.alpha;
  LinearProblem p{};
  p.x = a;
  p.weight = b;
  p.ldo = args.ldc;
  p.n = columns;
  p.k = block.depth;
  p.tile_rows = plan.tile_rows;
  p.accumulate = block.k > 0 || args.beta != 0.0f;
  const int64_t step = tiles_packed(plan);
  for (int64_t tile = block.tile; tile < block.tile + block.tiles; tile += step) {
    const int64_t tiles = smaller(step, block.tile + block.tiles - tile), row = tile * plan.tile_rows;
    p.m = smaller(args.m - row, tiles * plan.tile_rows);
    p.out = args.c + row * args.ldc + column;
    pack_piece(plan, {args.a, args.lda, !args.transpose_a, row, p.m, plan.tile_rows, block.k, block.depth, a});
    plan.kernel->run_tiles(p, 0, tiles, 0, block.panels, memory + plan.scratch_offset);
  }
}

// C = beta C.
void scale_c(const CpuContext& context, const GemmArgs& args) {
  if (args.beta == 1.0f) return;
  context.pool->run_ranges(args.m, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row) {
      float* c = args.c + row * args.ldc;
      if (args.beta == 0.0f)
        std::memset(c, 0, args.n * sizeof(float));
      else
        for (int64_t column = 0; column < args.n; ++column) c[column] *= args.beta;
    }
  });
}

Status check_matrix(const char* name, const float* data, int64_t rows, int64_t columns, int64_t stride) {
  if (rows == 0 || columns == 0) return Status::ok();
  if (data == nullptr) return Status("ERR_ARGUMENT", format_text("gemm: %s is missing", name));
  if (stride < columns)
    return Status("ERR_SHAPE", format_text("gemm: rows of %s are %lld apart, %lld values wide", name,
                                           static_cast<long long>(stride), static_cast<long long>(columns)));
  return Status::ok();
}

}  // namespace

Status check_gemm(const GemmArgs& args) {
  if (args.m < 0 || args.n < 0 || args.k < 0)
    return Status("ERR_SHAPE", format_text("gemm: m %lld, n %lld, k %lld", static_cast<long long>(args.m),
                                           static_cast<long long>(args.n), static_cast<long long>(args.k)));
  const bool ta = args.transpose_a, tb = args.transpose_b;
  ESP_RETURN_IF_ERROR(check_matrix("a", args.a, ta ? args.k : args.m, ta ? args.m : args.k, args.lda));
  ESP_RETURN_IF_ERROR(check_matrix("b", args.b, tb ? args.n : args.k, tb ? args.k : args.n, args.ldb));
  return check_matrix("c", args.c, args.m, args.n, args.ldc);
}

size_t gemm_workspace_size(const CpuContext& context, const GemmArgs& args) {
  if (args.m <= 0 || args.n <= 0 || args.k <= 0 || kernel_of(context)->tiles_stage == nullptr) return 0;
  return plan_gemm(context, args).thread_bytes * context.pool->threads();
}

Status gemm(const CpuContext& context, const GemmArgs& args, void* workspace, size_t workspace_size) {
  ESP_RETURN_IF_ERROR(check_gemm(args));
  if (args.m == 0 || args.n == 0) return Status::ok();
  if (kernel_of(context)->tiles_stage == nullptr) return gemm_ref(args);
  const bool nothing = args.k == 0 || args.alpha == 0.0f;
  if (args.beta != 0.0f || nothing) scale_c(context, args);
  if (nothing) return Status::ok();
  const GemmPlan plan = plan_gemm(context, args);
  const size_t needed = plan.thread_bytes * context.pool->threads();
  if (needed > workspace_size || workspace == nullptr)
    return Status("ERR_WORKSPACE", format_text("gemm: workspace of %zu bytes, %zu needed", workspace_size, needed));
  context.pool->run(plan.row_tasks * plan.column_tasks, [&](int64_t task, int thread) {
    Block block;
    block.tile = task % plan.row_tasks * plan.tiles_per_task;
    block.tiles = smaller(plan.tiles_per_task, plan.tiles - block.tile);
    block.panel = task / plan.row_tasks * plan.panels_per_task;
    block.panels = smaller(plan.panels_per_task, plan.panels - block.panel);
    for (block.k = 0; block.k < args.k; block.k += plan.depth) {
      block.depth = smaller(plan.depth, args.k - block.k);
      run_block(plan, args, block, static_cast<char*>(workspace) + thread * plan.thread_bytes);
    }
  });
  return Status::ok();
}

}  // namespace espalier
