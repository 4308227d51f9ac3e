// What the packers share: the check of the values, and the loop over panels.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <cstring>

#include "core/status.h"
#include "core/thread_pool.h"
#include "quant/panel_layout.h"
#include "quant/quantized_matrix.h"

namespace espalier {

// ERR_WEIGHT_VALUE naming the first row and column of w [n, k] with a value that is NaN or beyond +-limit.
Status check_weight_values(const char* format, const float* w, int64_t n, int64_t k, float limit, ThreadPool* pool);

// Calls body(panel) for every panel, on the pool when there is one.
template <typename F>
void for_each_panel(int64_t n, ThreadPool* pool, F&& body) {
  const int64_t panels = panel_count(n);
  if (pool == nullptr) {
    for (int64_t panel = 0; panel < panels; ++panel) body(panel);
    return;
  }
  pool->run(panels, [&](int64_t panel, int) { body(panel); });
}

// Rows of panel `panel` that exist in W [n, k].
inline int64_t panel_rows(int64_t n, int64_t panel) {
  const int64_t left = n - panel * kPanel;
  return left < kPanel ? left : kPanel;
}

// Zeroes the bytes between the last panel and what follows: a packed blob depends on the weights alone.
inline void zero_padding(void* packed, size_t begin, size_t end) {
  std::memset(static_cast<char*>(packed) + begin, 0, end - begin);
}

// A quantized weight fits a format with codes of `type`, `group` columns a scale (0: the whole row), and zero points or
// none. ERR_WEIGHT_FORMAT says what does not fit.
Status check_fits(const char* format, const QuantizedMatrix& matrix, CodeType type, int64_t group, bool zeros);

// absmax / 127 of one row; 0 for a row of zeros.
float int8_row_scale(const float* row, int64_t k);
// round-half-even(value / scale), clamped to +-127; 0 when scale is 0.
int8_t int8_quantize(float value, float scale);

}  // namespace espalier
