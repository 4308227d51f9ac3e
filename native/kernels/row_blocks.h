// Sums over tokens in parallel with the same bits for any number of threads: blocks of rows, each summed by one task
// into its own partial sum, then added in order. Included by drivers only. SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <cstring>

#include "core/thread_pool.h"
#include "kernels/cpu_context.h"

namespace espalier {

constexpr int64_t kMaxRowBlocks = 64;
constexpr int64_t kMinBlockRows = 32;

inline int64_t rows_of_block(int64_t rows) {
  const int64_t even = (rows + kMaxRowBlocks - 1) / kMaxRowBlocks;
  return even < kMinBlockRows ? kMinBlockRows : even;
}
inline int64_t row_block_count(int64_t rows) { return (rows + rows_of_block(rows) - 1) / rows_of_block(rows); }

// fn(begin, end, partial) for every block of [0, rows); partial [width] is the block's own, zero at first. Then, unless
// out is nullptr, out [width] += the partial sums. partials [row_block_count(rows), width].
template <typename F>
void sum_row_blocks(const CpuContext& context, int64_t rows, int64_t width, float* partials, float* out, F&& fn) {
  const int64_t blocks = row_block_count(rows), block_rows = rows_of_block(rows);
  context.pool->run(blocks, [&](int64_t block, int) {
    float* partial = partials + block * width;
    std::memset(partial, 0, static_cast<size_t>(width) * sizeof(float));
    const int64_t begin = block * block_rows, end = begin + block_rows;
    fn(begin, end < rows ? end : rows, partial);
  });
  for (int64_t block = 0; out != nullptr && block < blocks; ++block)
    for (int64_t i = 0; i < width; ++i) out[i] += partials[block * width + i];
}

}  // namespace espalier
