// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention_train/attention_train_plan.h"

namespace espalier {
namespace {

const AttentionTrainTile* const kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(&attention_train_tile_avx2),
                                                        ESP_X86_VARIANT(&attention_train_tile_avx512), nullptr};

Status check_sizes(const AttentionTrainArgs& args) {
  ArgumentChecks checks("attention_train");
  check_train_sizes(checks, args);
  return checks.done();
}

Status check(const AttentionTrainArgs& args) {
  ESP_RETURN_IF_ERROR(check_sizes(args));
  ArgumentChecks checks("attention_train");
  check_train_pointers(checks, args);
  return checks.done();
}

AttentionForwardScratch take_scratch(Arena& arena, int64_t head_dim) {
  const size_t padded = static_cast<size_t>(train_padded_dim(head_dim));
  AttentionForwardScratch scratch;
  scratch.probabilities = arena.take<float>(kTrainMostBlockRows * kTrainForwardKeys);
  scratch.query_tiles = arena.take<float>(kTrainQueryBlock * padded);
  scratch.values = arena.take<float>(kTrainForwardKeys * padded);
  scratch.accumulators = arena.take<float>(kTrainQueryBlock * padded);
  scratch.maxima = arena.take<float>(kTrainQueryBlock);
  scratch.sums = arena.take<float>(kTrainQueryBlock);
  return scratch;
}

struct Workspace {
  float* key_panels;
  AttentionForwardScratch* scratch;  // one for each thread
};

Workspace carve(Arena& arena, const AttentionTrainArgs& args, int threads) {
  Workspace workspace;
  workspace.key_panels = arena.take<float>(
      static_cast<size_t>(args.sequences * args.kv_heads * train_panels(args.length) * kTrainPanel * args.head_dim));
  workspace.scratch = arena.take<AttentionForwardScratch>(static_cast<size_t>(threads));
  for (int thread = 0; thread < threads; ++thread) {
    const AttentionForwardScratch scratch = take_scratch(arena, args.head_dim);
    if (workspace.scratch != nullptr) workspace.scratch[thread] = scratch;
  }
  return workspace;
}

}  // namespace

const AttentionTrainTile* attention_train_tile(const CpuContext& context) {
  return best_variant("attention_train", kVariants, context.isa);
}

size_t attention_train_workspace_size(const CpuContext& context, const AttentionTrainArgs& args) {
  if (attention_train_tile(context) == nullptr || !check_sizes(args).is_ok()) return 0;
  Arena arena;
  carve(arena, args, thread_count(context));
  return arena.used();
}

Status attention_train(const CpuContext& context, const AttentionTrainArgs& args, void* workspace,
                       size_t workspace_size) {
  ESP_RETURN_IF_ERROR(check(args));
  const AttentionTrainTile* tile = attention_train_tile(context);
  if (tile == nullptr) return attention_train_ref(args);
  if (args.sequences == 0 || args.length == 0) return Status::ok();
  Arena arena(workspace, workspace_size);
  const Workspace parts = carve(arena, args, thread_count(context));
  ESP_RETURN_IF_ERROR(ArgumentChecks("attention_train").workspace(workspace, workspace_size, arena.used()).done());
  pack_train_panels(context, *tile, args, args.k, args.ldk, parts.key_panels);
  const int64_t group = args.heads / args.kv_heads;
  const int64_t blocks = (args.length + kTrainQueryBlock - 1) / kTrainQueryBlock;
  const auto run_task = [&](int64_t task, int thread) {
    const int64_t head = task / blocks % args.heads, s = task / blocks / args.heads;
    AttentionTrainHead kv = train_head_of(args, s, head / group, parts.key_panels);
    const int64_t first_head = head / group * group;
    kv.out = args.out + s * args.length * args.ldo + first_head * args.head_dim;
    kv.lse = args.lse + (s * args.heads + first_head) * args.length;
    const int64_t block = blocks - 1 - task % blocks;  // the last queries see most keys
    tile->forward(kv, head - first_head, block * kTrainQueryBlock, parts.scratch[thread]);
  };
  const int64_t tasks = args.sequences * args.heads * blocks;
  if (context.pool != nullptr) {
    context.pool->run(tasks, run_task);
  } else {
    for (int64_t task = 0; task < tasks; ++task) run_task(task, 0);
  }
  return Status::ok();
}

}  // namespace espalier
