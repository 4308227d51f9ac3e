// rope: rotary position embedding, in place, with precomputed tables.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// x          [tokens, heads, head_dim] f32, rows (tokens) ldx apart; the first 2 * half of each head are rotated
// positions  [tokens] row of the tables for each token
// cos, sin   [table_rows, half] f32
// interleaved false: pairs (i, i + half), as transformers' Llama; true: pairs (2i, 2i + 1)
struct RopeArgs {
  float* x;
  int64_t ldx;
  int64_t tokens, heads, head_dim, half;
  const int32_t* positions;
  const float* cos;
  const float* sin;
  int64_t table_rows;
  bool interleaved;
};
Status rope(const CpuContext& context, const RopeArgs& args);
Status rope_ref(const RopeArgs& args);

}  // namespace espalier
