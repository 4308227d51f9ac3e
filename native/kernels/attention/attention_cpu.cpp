// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "core/arena.h"
#include "kernels/attention/attention.h"
#include "kernels/attention/attention_plan.h"
#include "kernels/attention/attention_tile.h"
#include "kernels/checks.h"
#include "kernels/dispatch.h"

namespace espalier {
namespace {

static_assert(kAttentionPageTokens == kKvPageTokens);

const AttentionTileFn kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(attention_tile_avx2),
                                              ESP_X86_VARIANT(attention_tile_avx512), nullptr};

// All but the pointers, which need not be known yet when a workspace is sized.
Status check_sizes(const AttentionArgs& args) {
  const KvCacheView& cache = args.cache;
  if (kv_dtype_info(cache.dtype) == nullptr)
    return Status("ERR_ARGUMENT", format_text("attention: cache.dtype: expected %s, found %d", kKvDTypeNames,
                                              static_cast<int>(cache.dtype)));
  ArgumentChecks checks("attention");
  checks.size("count", args.count)
      .positive("heads", args.heads)
      .positive("cache.kv_heads", cache.kv_heads)
      .positive("cache.head_dim", cache.head_dim);
  if (!checks.is_ok()) return checks.done();
  checks.multiple("heads", args.heads, cache.kv_heads)
      .stride("ldq", args.ldq, args.heads * cache.head_dim)
      .stride("ldo", args.ldo, args.heads * cache.head_dim)
      .stride("cache.page_stride_bytes", cache.page_stride_bytes,
              cache.kv_heads * kv_head_bytes(cache.dtype, cache.head_dim))
      .pointer("sequences", args.sequences, args.count > 0);
  for (int64_t s = 0; checks.is_ok() && s < args.count; ++s) {
    const AttentionSequence& sequence = args.sequences[s];
    checks.size("sequence.q_len", sequence.q_len)
        .size("sequence.kv_len", sequence.kv_len)
        .at_most("sequence.q_len", sequence.q_len, sequence.kv_len);
  }
  return checks.done();
}

Status check(const AttentionArgs& args) {
  ESP_RETURN_IF_ERROR(check_sizes(args));
  const KvCacheView& cache = args.cache;
  ArgumentChecks checks("attention");
  for (int64_t s = 0; checks.is_ok() && s < args.count; ++s) {
    const AttentionSequence& sequence = args.sequences[s];
    const bool any = sequence.q_len > 0;
    checks.pointer("sequence.q", sequence.q, any)
        .pointer("sequence.out", sequence.out, any)
        .pointer("sequence.pages", sequence.pages, any)
        .pointer("cache.k_base", cache.k_base, any)
        .pointer("cache.v_base", cache.v_base, any);
    const int64_t pages = any ? (sequence.kv_len + kKvPageTokens - 1) / kKvPageTokens : 0;
    for (int64_t page = 0; checks.is_ok() && page < pages; ++page)
      checks.index("sequence.pages", page, sequence.pages[page], int64_t{1} << 31);
  }
  return checks.done();
}

struct Workspace {
  AttentionTask* tasks;
  float* partials;
  AttentionScratch* scratch;  // one for each thread
};

Workspace carve(Arena& arena, const AttentionPlan& plan, int threads, int64_t head_dim) {
  Workspace workspace;
  workspace.tasks = arena.take<AttentionTask>(static_cast<size_t>(plan.tasks));
  workspace.partials = arena.take<float>(static_cast<size_t>(plan.partial_floats));
  workspace.scratch = arena.take<AttentionScratch>(static_cast<size_t>(threads));
  for (int thread = 0; thread < threads; ++thread) {
    const AttentionScratch scratch = take_attention_scratch(arena, head_dim);
    if (workspace.scratch != nullptr) workspace.scratch[thread] = scratch;
  }
  return workspace;
}

int thread_count(const CpuContext& context) { return context.pool != nullptr ? context.pool->threads() : 1; }

AttentionTile tile_of(const AttentionArgs& args, const AttentionTask& task, const AttentionScratch& scratch,
                      float* partials) {
  const KvCacheView& cache = args.cache;
  const AttentionSequence& sequence = args.sequences[task.sequence];
  const int64_t group = args.heads / cache.kv_heads;
  const int64_t head = task.kv_head * kv_head_bytes(cache.dtype, cache.head_dim);
  const int64_t scale_bytes = kv_scale_bytes(cache.dtype);
  AttentionTile tile;
  tile.q = sequence.q + task.kv_head * group * cache.head_dim;
  tile.ldq = args.ldq;
  tile.out = sequence.out + task.kv_head * group * cache.head_dim;
  tile.ldo = args.ldo;
  tile.group = group;
  tile.row_begin = task.row_begin;
  tile.rows = task.rows;
  tile.first_position = sequence.kv_len - sequence.q_len;
  tile.causal = args.causal;
  tile.key_begin = task.key_begin;
  tile.key_end = task.key_end;
  tile.pages = sequence.pages;
  tile.keys = cache.k_base + head + scale_bytes;
  tile.values = cache.v_base + head + scale_bytes;
  tile.key_scales = cache.k_base + head;
  tile.value_scales = cache.v_base + head;
  tile.page_stride_bytes = cache.page_stride_bytes;
  tile.head_dim = cache.head_dim;
  tile.dtype = static_cast<int32_t>(cache.dtype);
  tile.scale = args.scale;
  tile.accumulators = scratch.accumulators;
  tile.maxima = scratch.maxima;
  tile.sums = scratch.sums;
  tile.queries = scratch.queries;
  tile.scores = scratch.scores;
  tile.key_page = scratch.key_page;
  tile.value_chunk = scratch.value_chunk;
  if (task.parts > 1) {
    tile.out = nullptr;
    tile.accumulators = partials + task.partial;
    tile.maxima = tile.accumulators + task.rows * attention_padded_dim(cache.head_dim);
    tile.sums = tile.maxima + task.rows;
  }
  return tile;
}

// One row from the parts of its keys: Σ exp(maximum_p - maximum) accumulators_p / Σ exp(maximum_p - maximum) sum_p.
void merge_row(const AttentionTask* parts, int64_t row, int64_t head_dim, const float* partials, float* out) {
  const int64_t padded = attention_padded_dim(head_dim);
  const auto maximum_of = [&](const AttentionTask& part) { return partials[part.partial + part.rows * padded + row]; };
  float maximum = maximum_of(parts[0]);
  for (int32_t p = 1; p < parts->parts; ++p) maximum = std::fmax(maximum, maximum_of(parts[p]));
  float sum = 0;
  for (int64_t d = 0; d < head_dim; ++d) out[d] = 0;
  for (int32_t p = 0; p < parts->parts; ++p) {
    const float* accumulators = partials + parts[p].partial + row * padded;
    const float weight = std::exp(maximum_of(parts[p]) - maximum);
    sum += weight * partials[parts[p].partial + parts[p].rows * (padded + 1) + row];
    for (int64_t d = 0; d < head_dim; ++d) out[d] += weight * accumulators[d];
  }
  for (int64_t d = 0; d < head_dim; ++d) out[d] /= sum;
}

void merge_parts(const CpuContext& context, const AttentionArgs& args, const AttentionPlan& plan,
                 const Workspace& workspace) {
  const int64_t head_dim = args.cache.head_dim;
  const int64_t group = args.heads / args.cache.kv_heads;
  for_row_ranges(context, plan.tasks, plan.partial_floats / plan.tasks, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const AttentionTask& task = workspace.tasks[i];
      if (task.parts == 1 || task.part != 0) continue;
      const AttentionSequence& sequence = args.sequences[task.sequence];
      for (int64_t row = 0; row < task.rows; ++row) {
        const int64_t place = task.row_begin + row;
        float* out = sequence.out + place / group * args.ldo + (task.kv_head * group + place % group) * head_dim;
        merge_row(&task, row, head_dim, workspace.partials, out);
      }
    }
  });
}

}  // namespace

size_t attention_workspace_size(const CpuContext& context, const AttentionArgs& args) {
  if (best_variant("attention", kVariants, context.isa) == nullptr || !check_sizes(args).is_ok()) return 0;
  const int threads = thread_count(context);
  Arena arena;
  carve(arena, plan_attention(args, threads, nullptr), threads, args.cache.head_dim);
  return arena.used();
}

Status attention(const CpuContext& context, const AttentionArgs& args, void* workspace, size_t workspace_size) {
  ESP_RETURN_IF_ERROR(check(args));
  const AttentionTileFn run_tile = best_variant("attention", kVariants, context.isa);
  if (run_tile == nullptr) return attention_ref(args);
  const int threads = thread_count(context);
  const AttentionPlan plan = plan_attention(args, threads, nullptr);
  if (plan.tasks == 0) return Status::ok();
  Arena arena(workspace, workspace_size);
  const Workspace parts = carve(arena, plan, threads, args.cache.head_dim);
  ESP_RETURN_IF_ERROR(ArgumentChecks("attention").workspace(workspace, workspace_size, arena.used()).done());
  plan_attention(args, threads, parts.tasks);
  const auto run_task = [&](int64_t i, int thread) {
    run_tile(tile_of(args, parts.tasks[i], parts.scratch[thread], parts.partials));
  };
  if (plan.serial)
    for (int64_t i = 0; i < plan.tasks; ++i) run_task(i, 0);
  else
    context.pool->run(plan.tasks, run_task);
  if (plan.split_tasks > 0) merge_parts(context, args, plan, parts);
  return Status::ok();
}

}  // namespace espalier
