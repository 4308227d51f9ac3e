// SPDX-License-Identifier: Apache-2.0
#include "quant/pack_panels.h"

#include <atomic>
#include <cmath>

namespace espalier {
namespace {

// Column of the first value that is NaN or beyond +-limit; k when there is none.
int64_t first_bad(const float* row, int64_t k, float limit) {
  bool bad = false;
  for (int64_t column = 0; column < k; ++column) bad |= !(std::fabs(row[column]) <= limit);
  if (!bad) return k;
  for (int64_t column = 0; column < k; ++column)
    if (!(std::fabs(row[column]) <= limit)) return column;
  return k;
}

}  // namespace

Status check_weight_values(const char* format, const float* w, int64_t n, int64_t k, float limit, ThreadPool* pool) {
  std::atomic<int64_t> worst_row{n};
  for_each_panel(n, pool, [&](int64_t panel) {
    for (int64_t row = panel * kPanel; row < panel * kPanel + panel_rows(n, panel); ++row) {
      if (first_bad(w + row * k, k, limit) == k) continue;
      int64_t seen = worst_row.load();
      while (row < seen && !worst_row.compare_exchange_weak(seen, row)) {
      }
      return;
    }
  });
  const int64_t row = worst_row.load();
  if (row == n) return Status::ok();
  const int64_t column = first_bad(w + row * k, k, limit);
  return Status("ERR_WEIGHT_VALUE",
                format_text("weight [%lld, %lld] is %g; format %s holds finite values up to %g",
                            static_cast<long long>(row), static_cast<long long>(column),
                            static_cast<double>(w[row * k + column]), format, static_cast<double>(limit)));
}

Status check_fits(const char* format, const QuantizedMatrix& matrix, CodeType type, int64_t group, bool zeros) {
  ESP_RETURN_IF_ERROR(check_quantized(matrix));
  const auto refuse = [&](const std::string& what) {
    return Status("ERR_WEIGHT_FORMAT", std::string("format ") + format + ": " + what);
  };
  if (matrix.type != type)
    return refuse(std::string("expected codes of ") + code_type_info(type).name + ", found " +
                  code_type_info(matrix.type).name);
  if (!zeros)
    for (const float zero : matrix.zeros)
      if (zero != 0) return refuse("it has no zero points, the weight has");
  if (!matrix.column_groups.empty()) return refuse("its columns must be grouped in order (the weight has act-order)");
  const ScaleGrid& grid = matrix.grid;
  const bool whole_rows = grid.across_rows ? grid.col_span == matrix.cols : grid.col_span >= matrix.cols;
  const bool divides = group > 0 && grid.col_span % group == 0 && (!grid.across_rows || matrix.cols % group == 0);
  if (whole_rows || divides || matrix.cols == 0) return Status::ok();
  return refuse(format_text("scales for every %lld columns%s do not fit rows of %lld",
                            static_cast<long long>(grid.col_span), grid.across_rows ? " of the flattened weight" : "",
                            static_cast<long long>(matrix.cols)));
}

float int8_row_scale(const float* row, int64_t k) {
  float absmax = 0;
  for (int64_t i = 0; i < k; ++i) absmax = std::fabs(row[i]) > absmax ? std::fabs(row[i]) : absmax;
  return absmax / 127.0f;
}

int8_t int8_quantize(float value, float scale) {
  if (scale == 0.0f) return 0;
  const float rounded = std::nearbyint(value / scale);
  return static_cast<int8_t>(rounded > 127.0f ? 127.0f : rounded < -127.0f ? -127.0f : rounded);
}

}  // namespace espalier
