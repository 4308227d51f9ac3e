// How one attention call is cut into tasks.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/arena.h"
#include "kernels/attention/attention.h"

namespace espalier {

// Rows [row_begin, row_begin + rows) of one kv head of one sequence against keys [key_begin, key_end).
struct AttentionTask {
  int32_t sequence;
  int32_t kv_head;
  int64_t row_begin, rows;
  int64_t key_begin, key_end;
  int32_t part, parts;  // this range of keys among those of the same rows, which follow one another
  int64_t partial;      // offset in f32 of the unnormalised result when parts > 1: accumulators, maxima, sums
};

struct AttentionPlan {
  int64_t tasks = 0;
  int64_t split_tasks = 0;     // tasks with parts > 1
  int64_t partial_floats = 0;  // size of the unnormalised results
  bool serial = false;         // too little work to wake the pool for
};

// Counts when `out` is nullptr, else also writes the tasks; both passes agree. The cut depends on the arguments and
// `threads` alone.
AttentionPlan plan_attention(const AttentionArgs& args, int threads, AttentionTask* out);

// What one thread needs.
struct AttentionScratch {
  float *accumulators, *maxima, *sums, *queries, *scores, *key_page, *value_chunk;
};
AttentionScratch take_attention_scratch(Arena& arena, int64_t head_dim);

}  // namespace espalier
