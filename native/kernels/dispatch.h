// How a driver picks a variant and decides to fork. Included by drivers only, never by files built for one ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/isa.h"
#include "core/kernel_log.h"
#include "core/thread_pool.h"
#include "kernels/cpu_context.h"

// Names a variant that exists on x86-64 only.
#if defined(__x86_64__)
#define ESP_X86_VARIANT(symbol) symbol
#else
#define ESP_X86_VARIANT(symbol) nullptr
#endif

namespace espalier {

// The highest filled row at or below `isa`; nullptr when only the reference remains. `op` is for the log.
template <typename F>
F best_variant(const char* op, const F (&table)[kIsaCount], Isa isa) {
  int level = static_cast<int>(isa);
  while (level > 0 && table[level] == nullptr) --level;
  log_kernel(op, static_cast<Isa>(level));
  return level > 0 ? table[level] : nullptr;
}

// Forking costs a few microseconds when the workers are awake; element-wise work below this runs faster on one thread.
// 32768 f32 elements of rms_norm take about 3 us on one core of a Sapphire Rapids server.
constexpr int64_t kSerialElements = 32768;

// fn(begin, end) over [0, rows): in one piece when rows * row_elements is small, else over the pool. Operators with an
// exponential count an element four times.
template <typename F>
void for_row_ranges(const CpuContext& context, int64_t rows, int64_t row_elements, F&& fn) {
  if (context.pool == nullptr || rows * row_elements < kSerialElements) {
    if (rows > 0) fn(int64_t{0}, rows);
    return;
  }
  context.pool->run_ranges(rows, 1, [&](int64_t begin, int64_t end, int) { fn(begin, end); });
}

}  // namespace espalier
