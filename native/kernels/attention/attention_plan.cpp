// SPDX-License-Identifier: Apache-2.0
#include "kernels/attention/attention_plan.h"

#include <algorithm>

#include "kernels/attention/attention_tile.h"

namespace espalier {
namespace {

constexpr int64_t kRowAlign = 12;  // whole register blocks of every variant
constexpr int64_t kMinPartKeys = 4 * kKvPageTokens;
// A task's cost is keys * (rows + this): reading a key and a value weighs about as much as eight rows of products.
constexpr int64_t kLoadRows = 8;
// Multiply-adds below which one thread is done before the others are awake (about 3 us on one AVX-512 core).
constexpr int64_t kSerialWork = 96 * 1024;
// Tasks wanted for each thread, so that uneven ones even out.
constexpr int64_t kTasksPerThread = 8;

int64_t ceil_divide(int64_t a, int64_t b) { return (a + b - 1) / b; }

struct RowTile {
  int64_t begin, rows, keys;
};

// Rows of one kv head of one sequence, cut evenly; the tiles that see most keys come first.
template <typename F>
void for_row_tiles(const AttentionArgs& args, const AttentionSequence& sequence, F&& fn) {
  const int64_t group = args.heads / args.cache.kv_heads;
  const int64_t rows = sequence.q_len * group;
  const int64_t count = ceil_divide(rows, kAttentionTileRows);
  if (count == 0) return;
  const int64_t step = std::min(ceil_divide(ceil_divide(rows, count), kRowAlign) * kRowAlign, kAttentionTileRows);
  for (int64_t begin = (rows - 1) / step * step; begin >= 0; begin -= step) {
    const int64_t end = std::min(begin + step, rows);
    const int64_t keys = args.causal ? sequence.kv_len - sequence.q_len + (end - 1) / group + 1 : sequence.kv_len;
    fn(RowTile{begin, end - begin, keys});
  }
}

struct Work {
  int64_t cost = 0;
  int64_t multiply_adds = 0;
};

Work total_work(const AttentionArgs& args) {
  Work work;
  for (int64_t s = 0; s < args.count; ++s)
    for_row_tiles(args, args.sequences[s], [&](const RowTile& tile) {
      work.cost += args.cache.kv_heads * tile.keys * (tile.rows + kLoadRows);
      work.multiply_adds += args.cache.kv_heads * tile.keys * tile.rows * args.cache.head_dim * 2;
    });
  return work;
}

int64_t count_parts(const RowTile& tile, int64_t cost_per_task) {
  const int64_t wanted = ceil_divide(tile.keys * (tile.rows + kLoadRows), cost_per_task);
  return std::max<int64_t>(1, std::min(wanted, tile.keys / kMinPartKeys));
}

}  // namespace

AttentionPlan plan_attention(const AttentionArgs& args, int threads, AttentionTask* out) {
  const Work work = total_work(args);
  AttentionPlan plan;
  plan.serial = threads == 1 || work.multiply_adds < kSerialWork;
  const int64_t wanted_tasks = plan.serial ? 1 : threads * kTasksPerThread;
  const int64_t cost_per_task = plan.serial ? std::max<int64_t>(work.cost, 1) : ceil_divide(work.cost, wanted_tasks);
  const int64_t padded = attention_padded_dim(args.cache.head_dim);
  const auto add_parts = [&](int64_t s, int64_t head, const RowTile& tile) {
    const int64_t parts = count_parts(tile, cost_per_task);
    const int64_t pages = ceil_divide(tile.keys, kKvPageTokens);
    for (int64_t part = 0; part < parts; ++part) {
      if (out != nullptr) {
        AttentionTask& task = out[plan.tasks];
        task = {static_cast<int32_t>(s),    static_cast<int32_t>(head),  tile.begin,         tile.rows, 0, 0,
                static_cast<int32_t>(part), static_cast<int32_t>(parts), plan.partial_floats};
        task.key_begin = pages * part / parts * kKvPageTokens;
        task.key_end = std::min(pages * (part + 1) / parts * kKvPageTokens, tile.keys);
      }
      ++plan.tasks;
      if (parts == 1) continue;
      ++plan.split_tasks;
      plan.partial_floats += ceil_divide(tile.rows * (padded + 2), 16) * 16;
    }
  };
  for (int64_t s = 0; s < args.count; ++s)
    for_row_tiles(args, args.sequences[s], [&](const RowTile& tile) {
      for (int64_t head = 0; head < args.cache.kv_heads; ++head) add_parts(s, head, tile);
    });
  return plan;
}

AttentionScratch take_attention_scratch(Arena& arena, int64_t head_dim) {
  const size_t rows = kAttentionTileRows;
  const size_t padded = static_cast<size_t>(attention_padded_dim(head_dim));
  AttentionScratch scratch;
  scratch.accumulators = arena.take<float>(rows * padded);
  scratch.maxima = arena.take<float>(rows);
  scratch.sums = arena.take<float>(rows);
  scratch.queries = arena.take<float>(rows * padded);
  scratch.scores = arena.take<float>(rows * kAttentionChunkKeys);
  scratch.key_page = arena.take<float>(padded * kKvPageTokens);
  scratch.value_chunk = arena.take<float>(padded * kAttentionChunkKeys);
  return scratch;
}

}  // namespace espalier
