// MatmulPlan: how a group of products is cut into tasks and where its scratch lies. Internal to kernels/matmul.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "kernels/matmul/linear_kernel.h"
#include "kernels/matmul/matmul.h"

namespace espalier {

constexpr int kMaxMatmulGroup = 16;
// Panels that a task of the blocked kernels covers at most: its sums take about a sixth of the L2 cache.
int64_t panels_per_task();

// The converted activations of one stage; products with the same stage, tile height and input scale share one.
struct StagePlan {
  const ActivationStage* stage;
  int64_t tile_rows;
  float input_scale;
  int64_t k_words;
  size_t words_offset;
  size_t scale_offset;
};

struct ProductPlan {
  const LinearKernel* kernel;
  bool tiles;       // run_tiles, else run_rows
  int stage_index;  // -1: x in place
  LinearProblem problem;
  int64_t tiles_per_task, panels_per_task;
  int64_t row_blocks, panel_blocks;  // tasks of this product: row_blocks * panel_blocks
};

struct MatmulPlan {
  int count = 0;
  ProductPlan products[kMaxMatmulGroup];
  int stage_count = 0;
  StagePlan stages[kMaxMatmulGroup];
  int64_t tasks = 0;
  size_t thread_scratch_offset = 0;
  size_t thread_scratch_bytes = 0;  // of each thread
  size_t workspace_bytes = 0;

  void* thread_scratch(void* workspace, int thread) const {
    return static_cast<char*>(workspace) + thread_scratch_offset + thread * thread_scratch_bytes;
  }
};

// Tile height for m rows: as few tiles as `most` allows, evenly filled (m = 15 gives 8 + 7, not 14 + 1).
int64_t tile_rows_of(int64_t m, int64_t most);
// Cuts the blocked product product->problem (m, n, tile_rows set) into tasks.
void plan_tiles(ProductPlan* product, int64_t threads);
// Scratch of each thread for such tasks.
size_t tile_scratch_bytes(const ProductPlan& product);

// What one of product.row_blocks * product.panel_blocks tasks covers; tiles only when product.tiles.
struct TaskRange {
  int64_t tile, tile_end;
  int64_t panel, panel_end;
};
TaskRange task_range(const ProductPlan& product, int64_t task);
// Rows that a task covers at most; never fewer when m grows.
int64_t task_rows(const ProductPlan& product);
// Runs `problem` (product.problem, or with its out elsewhere) over a task's range.
void run_range(const ProductPlan& product, const LinearProblem& problem, const TaskRange& range, void* scratch);

// Needs m, n, k and the formats only; pointers may be null (input scales then count as all different).
void plan_matmul(const CpuContext& context, const MatmulArgs* args, int count, MatmulPlan* plan);
// Converts the activations into `workspace` and points the problems at them.
void prepare_activations(const CpuContext& context, const MatmulArgs* args, MatmulPlan* plan, void* workspace);
// Runs every task on the pool.
void run_matmul_plan(const CpuContext& context, const MatmulPlan& plan, void* workspace);

// ERR_SHAPE, ERR_ARGUMENT.
Status check_matmul(const MatmulArgs* args, int count);

}  // namespace espalier
