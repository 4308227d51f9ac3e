// The gemm driver: packs A into tiles and B into panels, then runs the f32 matmul kernel over them. k is cut so that
// the packed copies stay small; every cut accumulates into C. SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "core/thread_pool.h"
#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_check.h"
#include "kernels/matmul/matmul_plan.h"
#include "quant/panel_layout.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

constexpr int64_t kPackedFloats = int64_t{4} << 20;  // of A and B together, unless a cut of kMinDepth needs more
constexpr int64_t kMinDepth = 256;

struct GemmPlan {
  ProductPlan product;  // problem.k is the depth of a cut
  size_t b_offset;
  size_t scratch_offset;
  size_t thread_scratch_bytes;
  size_t workspace_bytes;
};

const LinearKernel* kernel_of(const CpuContext& context) {
  return select_linear_kernel(*find_weight_format("f32"), context.isa);
}

void plan_gemm(const CpuContext& context, const GemmArgs& args, GemmPlan* plan) {
  plan->product = {};
  plan->product.kernel = kernel_of(context);
  plan->product.tiles = true;
  LinearProblem& p = plan->product.problem;
  p.m = args.m;
  p.n = args.n;
  p.ldo = args.ldc;
  p.out = args.c;
  p.tile_rows = tile_rows_of(args.m, plan->product.kernel->max_tile_rows);
  const int64_t rows = round_up(args.m, p.tile_rows), columns = panel_count(args.n) * kPanel;
  const int64_t depth = round_up(kPackedFloats / (rows + columns) + 1, kMinDepth);
  p.k = args.k < depth ? args.k : depth;
  plan_tiles(&plan->product, context.pool->threads());
  plan->b_offset = align64(rows * p.k * sizeof(float));
  plan->scratch_offset = plan->b_offset + columns * p.k * sizeof(float);
  plan->thread_scratch_bytes = tile_scratch_bytes(plan->product);
  plan->workspace_bytes = plan->scratch_offset + plan->thread_scratch_bytes * context.pool->threads();
}

// `count` values of a row into a slot of `width`, zeros after.
void copy_slot(const float* source, int64_t count, int64_t width, float* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = source[i];
  for (int64_t i = count; i < width; ++i) out[i] = 0.0f;
}

// Lines [first, first + width) of a matrix of `lines` lines as [depth][width]. along_k: the stored rows are the lines
// (depth runs along them); otherwise each stored row holds one k of every line.
void pack_lines(const LinearKernel& kernel, const float* source, int64_t stride, bool along_k, int64_t first,
                int64_t lines, int64_t width, int64_t depth, float* out) {
  const int64_t count = lines - first < width ? lines - first : width;
  if (along_k)
    return kernel.tiles_stage->run(source + first * stride, stride, count, depth, width,
                                   reinterpret_cast<uint32_t*>(out), nullptr);
  for (int64_t i = 0; i < depth; ++i) copy_slot(source + i * stride + first, count, width, out + i * width);
}

// The cut [k, k + depth) of A and B. alpha goes into B.
void pack_cut(const CpuContext& context, const GemmArgs& args, const GemmPlan& plan, int64_t k, float* a, float* b) {
  const LinearProblem& p = plan.product.problem;
  const LinearKernel& kernel = *plan.product.kernel;
  const float* from_a = args.a + (args.transpose_a ? k * args.lda : k);
  const float* from_b = args.b + (args.transpose_b ? k : k * args.ldb);
  const int64_t tiles = ceil_div(args.m, p.tile_rows), panels = panel_count(args.n);
  context.pool->run(tiles + panels, [&](int64_t task, int) {
    if (task < tiles) {
      const int64_t row = task * p.tile_rows;
      return pack_lines(kernel, from_a, args.lda, !args.transpose_a, row, args.m, p.tile_rows, p.k, a + row * p.k);
    }
    const int64_t column = (task - tiles) * kPanel;
    float* panel = b + column * p.k;
    pack_lines(kernel, from_b, args.ldb, args.transpose_b, column, args.n, kPanel, p.k, panel);
    if (args.alpha != 1.0f)
      for (int64_t i = 0; i < p.k * kPanel; ++i) panel[i] *= args.alpha;
  });
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
  GemmPlan plan;
  plan_gemm(context, args, &plan);
  return plan.workspace_bytes;
}

Status gemm(const CpuContext& context, const GemmArgs& args, void* workspace, size_t workspace_size) {
  ESP_RETURN_IF_ERROR(check_gemm(args));
  if (args.m == 0 || args.n == 0) return Status::ok();
  if (kernel_of(context)->tiles_stage == nullptr) return gemm_ref(args);
  if (args.beta != 0.0f || args.k == 0 || args.alpha == 0.0f) scale_c(context, args);
  if (args.k == 0 || args.alpha == 0.0f) return Status::ok();
  GemmPlan plan;
  plan_gemm(context, args, &plan);
  if (plan.workspace_bytes > workspace_size || workspace == nullptr)
    return Status("ERR_WORKSPACE",
                  format_text("gemm: workspace of %zu bytes, %zu needed", workspace_size, plan.workspace_bytes));
  char* base = static_cast<char*>(workspace);
  float *a = reinterpret_cast<float*>(base), *b = reinterpret_cast<float*>(base + plan.b_offset);
  LinearProblem& p = plan.product.problem;
  const int64_t depth = p.k;
  p.x = a;
  p.weight = b;
  for (int64_t k = 0; k < args.k; k += depth) {
    p.k = args.k - k < depth ? args.k - k : depth;
    p.accumulate = k > 0 || args.beta != 0.0f;
    pack_cut(context, args, plan, k, a, b);
    context.pool->run(plan.product.row_blocks * plan.product.panel_blocks, [&](int64_t task, int thread) {
      run_range(plan.product, p, task_range(plan.product, task),
                base + plan.scratch_offset + thread * plan.thread_scratch_bytes);
    });
  }
  return Status::ok();
}

}  // namespace espalier
