// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kernels/attention_train/attention_train_plan.h"

namespace espalier {
namespace {

Status check_sizes(const AttentionBackwardArgs& args) {
  ArgumentChecks checks("attention_backward");
  check_train_sizes(checks, args);
  if (checks.is_ok())
    checks.stride("lddo", args.lddo, args.heads * args.head_dim)
        .stride("lddq", args.lddq, args.heads * args.head_dim)
        .stride("lddk", args.lddk, args.kv_heads * args.head_dim)
        .stride("lddv", args.lddv, args.kv_heads * args.head_dim);
  return checks.done();
}

Status check(const AttentionBackwardArgs& args) {
  ESP_RETURN_IF_ERROR(check_sizes(args));
  ArgumentChecks checks("attention_backward");
  check_train_pointers(checks, args);
  const bool any = args.sequences > 0 && args.length > 0;
  checks.pointer("dout", args.dout, any)
      .pointer("dq", args.dq, any)
      .pointer("dk", args.dk, any)
      .pointer("dv", args.dv, any);
  return checks.done();
}

AttentionBackwardScratch take_scratch(Arena& arena, int64_t head_dim) {
  const size_t padded = static_cast<size_t>(train_padded_dim(head_dim));
  const size_t query_floats = kTrainQueryBlock * padded, key_floats = kTrainBackwardKeys * padded;
  AttentionBackwardScratch scratch;
  scratch.probabilities = arena.take<float>(kTrainQueryBlock * kTrainBackwardKeys);
  scratch.gradients = arena.take<float>(kTrainQueryBlock * kTrainBackwardKeys);
  scratch.query_tiles = arena.take<float>(query_floats);
  scratch.dout_tiles = arena.take<float>(query_floats);
  scratch.queries = arena.take<float>(query_floats);
  scratch.douts = arena.take<float>(query_floats);
  scratch.query_sums = arena.take<float>(query_floats);
  scratch.keys = arena.take<float>(key_floats);
  scratch.key_sums = arena.take<float>(key_floats);
  scratch.value_sums = arena.take<float>(key_floats);
  return scratch;
}

struct Workspace {
  float *key_panels, *value_panels;
  float* deltas;                      // [sequences, heads, length]
  AttentionBackwardScratch* scratch;  // one for each thread
};

Workspace carve(Arena& arena, const AttentionBackwardArgs& args, int threads) {
  const size_t panel_floats =
      static_cast<size_t>(args.sequences * args.kv_heads * train_panels(args.length) * kTrainPanel * args.head_dim);
  Workspace workspace;
  workspace.key_panels = arena.take<float>(panel_floats);
  workspace.value_panels = arena.take<float>(panel_floats);
  workspace.deltas = arena.take<float>(static_cast<size_t>(args.sequences * args.heads * args.length));
  workspace.scratch = arena.take<AttentionBackwardScratch>(static_cast<size_t>(threads));
  for (int thread = 0; thread < threads; ++thread) {
    const AttentionBackwardScratch scratch = take_scratch(arena, args.head_dim);
    if (workspace.scratch != nullptr) workspace.scratch[thread] = scratch;
  }
  return workspace;
}

AttentionTrainHead head_of(const AttentionBackwardArgs& args, int64_t s, int64_t kv_head, const Workspace& parts) {
  AttentionTrainHead head = train_head_of(args, s, kv_head, parts.key_panels);
  head.value_panels = parts.value_panels + (head.key_panels - parts.key_panels);
  const int64_t row = s * args.length, first_head = kv_head * (args.heads / args.kv_heads);
  const int64_t column = first_head * args.head_dim, stats = (s * args.heads + first_head) * args.length;
  head.lse = const_cast<float*>(args.lse) + stats;
  head.deltas = parts.deltas + stats;
  head.dout = args.dout + row * args.lddo + column;
  head.lddo = args.lddo;
  head.dq = args.dq + row * args.lddq + column;
  head.dk = args.dk + row * args.lddk + kv_head * args.head_dim;
  head.dv = args.dv + row * args.lddv + kv_head * args.head_dim;
  head.lddq = args.lddq;
  head.lddk = args.lddk;
  head.lddv = args.lddv;
  return head;
}

// deltas = Σ dout out of every row and head.
void compute_deltas(const CpuContext& context, const AttentionTrainTile& tile, const AttentionBackwardArgs& args,
                    float* deltas) {
  const int64_t dim = args.head_dim;
  for_row_ranges(context, args.sequences * args.length, args.heads * dim, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t head = 0; head < args.heads; ++head)
        deltas[(row / args.length * args.heads + head) * args.length + row % args.length] =
            tile.dot(args.dout + row * args.lddo + head * dim, args.out + row * args.ldo + head * dim, dim);
  });
}

template <typename F>
void run_tasks(const CpuContext& context, int64_t tasks, F&& run_task) {
  if (context.pool != nullptr) return context.pool->run(tasks, run_task);
  for (int64_t task = 0; task < tasks; ++task) run_task(task, 0);
}

// A task is a kv head: all its gradients in one go.
void run_whole(const CpuContext& context, const AttentionTrainTile& tile, const AttentionBackwardArgs& args,
               const Workspace& parts) {
  run_tasks(context, args.sequences * args.kv_heads, [&](int64_t task, int thread) {
    AttentionBackwardRange range{};
    range.key_end = range.query_end = args.length;
    range.head_end = args.heads / args.kv_heads;
    range.key_gradients = range.query_gradients = true;
    tile.backward(head_of(args, task / args.kv_heads, task % args.kv_heads, parts), range, parts.scratch[thread]);
  });
}

// A task is a block of keys of a kv head (dk and dv) or a block of queries of a head (dq). Probabilities are computed
// twice: 7 products where run_whole has 5, for many more tasks.
void run_split(const CpuContext& context, const AttentionTrainTile& tile, const AttentionBackwardArgs& args,
               const Workspace& parts) {
  const int64_t key_blocks = (args.length + kTrainBackwardKeys - 1) / kTrainBackwardKeys;
  const int64_t query_blocks = (args.length + kTrainQueryBlock - 1) / kTrainQueryBlock;
  const int64_t key_tasks = args.sequences * args.kv_heads * key_blocks, group = args.heads / args.kv_heads;
  const int64_t tasks = key_tasks + args.sequences * args.heads * query_blocks;
  run_tasks(context, tasks, [&](int64_t task, int thread) {
    AttentionBackwardRange range{};
    range.key_gradients = task < key_tasks;
    range.query_gradients = !range.key_gradients;
    if (range.key_gradients) {
      const int64_t kv_head = task / key_blocks % args.kv_heads, s = task / key_blocks / args.kv_heads;
      range.key_begin = task % key_blocks * kTrainBackwardKeys;
      range.key_end = std::min(range.key_begin + kTrainBackwardKeys, args.length);
      range.query_end = args.length;
      range.head_end = group;
      return tile.backward(head_of(args, s, kv_head, parts), range, parts.scratch[thread]);
    }
    task -= key_tasks;
    const int64_t head = task / query_blocks % args.heads, s = task / query_blocks / args.heads;
    range.query_begin = (query_blocks - 1 - task % query_blocks) * kTrainQueryBlock;
    range.query_end = range.key_end = std::min(range.query_begin + kTrainQueryBlock, args.length);
    range.head_begin = head % group;
    range.head_end = range.head_begin + 1;
    tile.backward(head_of(args, s, head / group, parts), range, parts.scratch[thread]);
  });
}

// Whether whole kv heads keep at least three quarters of the threads busy; 5/7 of the work is worth about that.
bool fills_threads(int64_t tasks, int64_t threads) {
  const int64_t rounds = (tasks + threads - 1) / threads;
  return 4 * tasks >= 3 * rounds * threads;
}

}  // namespace

size_t attention_backward_workspace_size(const CpuContext& context, const AttentionBackwardArgs& args) {
  if (attention_train_tile(context) == nullptr || !check_sizes(args).is_ok()) return 0;
  Arena arena;
  carve(arena, args, thread_count(context));
  return arena.used();
}

Status attention_backward(const CpuContext& context, const AttentionBackwardArgs& args, void* workspace,
                          size_t workspace_size) {
  ESP_RETURN_IF_ERROR(check(args));
  const AttentionTrainTile* tile = attention_train_tile(context);
  if (tile == nullptr) return attention_backward_ref(args);
  if (args.sequences == 0 || args.length == 0) return Status::ok();
  Arena arena(workspace, workspace_size);
  const Workspace parts = carve(arena, args, thread_count(context));
  ESP_RETURN_IF_ERROR(ArgumentChecks("attention_backward").workspace(workspace, workspace_size, arena.used()).done());
  pack_train_panels(context, *tile, args, args.k, args.ldk, parts.key_panels);
  pack_train_panels(context, *tile, args, args.v, args.ldv, parts.value_panels);
  compute_deltas(context, *tile, args, parts.deltas);
  if (fills_threads(args.sequences * args.kv_heads, thread_count(context)))
    run_whole(context, *tile, args, parts);
  else
    run_split(context, *tile, args, parts);
  return Status::ok();
}

}  // namespace espalier
