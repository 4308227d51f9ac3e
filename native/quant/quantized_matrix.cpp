// SPDX-License-Identifier: Apache-2.0
#include "quant/quantized_matrix.h"

#include <algorithm>
#include <cmath>

namespace espalier {
namespace {

int64_t parts(int64_t size, int64_t span) { return span < 1 ? 0 : (size + span - 1) / span; }

Status size_error(const char* name, size_t found, int64_t expected) {
  return Status("ERR_SHAPE",
                format_text("%s: expected %lld values, found %zu", name, static_cast<long long>(expected), found));
}

}  // namespace

int64_t QuantizedMatrix::scale_rows() const { return grid.across_rows ? 1 : parts(rows, grid.row_span); }

int64_t QuantizedMatrix::scale_cols() const {
  return grid.across_rows ? parts(rows * cols, grid.col_span) : parts(cols, grid.col_span);
}

void dequantize_rows(const QuantizedMatrix& matrix, int64_t row_begin, int64_t count, float* out) {
  const auto values = code_values(matrix.type);
  const size_t mask = values.size() - 1;
  for (int64_t row = row_begin; row < row_begin + count; ++row) {
    const uint8_t* codes = matrix.codes.data() + row * matrix.cols;
    int64_t col = 0;
    while (col < matrix.cols) {
      const size_t index = matrix.scale_index(row, col);
      const int64_t offset =
          matrix.grid.across_rows ? (row * matrix.cols + col) % matrix.grid.col_span : col % matrix.grid.col_span;
      const int64_t run = matrix.column_groups.empty() ? matrix.grid.col_span - offset : 1;
      const int64_t end = std::min(matrix.cols, col + run);
      const float scale = matrix.scales[index], zero = matrix.zero(index);
      for (; col < end; ++col) *out++ = (values[codes[col] & mask] - zero) * scale;
    }
  }
}

Status check_quantized(const QuantizedMatrix& matrix) {
  if (matrix.rows < 0 || matrix.cols < 0 || matrix.grid.row_span < 1 || matrix.grid.col_span < 1)
    return Status("ERR_SHAPE", "quantized weight: sizes must not be negative, spans of scales must be positive");
  const int64_t scales = matrix.scale_rows() * matrix.scale_cols();
  if (matrix.codes.size() != static_cast<size_t>(matrix.rows * matrix.cols))
    return size_error("codes", matrix.codes.size(), matrix.rows * matrix.cols);
  if (matrix.scales.size() != static_cast<size_t>(scales)) return size_error("scales", matrix.scales.size(), scales);
  if (!matrix.zeros.empty() && matrix.zeros.size() != matrix.scales.size())
    return size_error("zero points", matrix.zeros.size(), scales);
  if (!matrix.column_groups.empty() && matrix.column_groups.size() != static_cast<size_t>(matrix.cols))
    return size_error("column groups", matrix.column_groups.size(), matrix.cols);
  for (const int32_t group : matrix.column_groups)
    if (group < 0 || group >= matrix.scale_cols())
      return Status("ERR_QUANT_SCALE", format_text("column group %d; expected 0 to %lld", group,
                                                   static_cast<long long>(matrix.scale_cols() - 1)));
  // An absmax of bitsandbytes that was quantized itself may come out below 0.
  const bool below = matrix.type == CodeType::kNf4 || matrix.type == CodeType::kFp4;
  for (size_t i = 0; i < matrix.scales.size(); ++i)
    if (!(std::isfinite(matrix.scales[i]) && (below || matrix.scales[i] >= 0)))
      return Status("ERR_QUANT_SCALE",
                    format_text("scale %zu is %g; expected a finite value%s", i, static_cast<double>(matrix.scales[i]),
                                below ? "" : ", not below 0"));
  if (!(std::isfinite(matrix.input_scale) && matrix.input_scale >= 0))
    return Status("ERR_QUANT_SCALE", format_text("input_scale is %g; expected a finite value above 0",
                                                 static_cast<double>(matrix.input_scale)));
  for (size_t i = 0; i < matrix.zeros.size(); ++i)
    if (!std::isfinite(matrix.zeros[i]))
      return Status("ERR_QUANT_SCALE", format_text("zero point %zu is %g; expected a finite value", i,
                                                   static_cast<double>(matrix.zeros[i])));
  return Status::ok();
}

QuantizationError quantization_error(const QuantizedMatrix& matrix, const float* w, ThreadPool* pool) {
  std::vector<QuantizationError> of_rows(static_cast<size_t>(matrix.rows));
  const auto measure = [&](int64_t begin, int64_t end, int) {
    std::vector<float> row_values(static_cast<size_t>(matrix.cols));
    for (int64_t row = begin; row < end; ++row) {
      dequantize_rows(matrix, row, 1, row_values.data());
      QuantizationError& error = of_rows[static_cast<size_t>(row)];
      for (int64_t col = 0; col < matrix.cols; ++col) {
        const double value = w[row * matrix.cols + col];
        const double difference = value - row_values[static_cast<size_t>(col)];
        error.squared_error += difference * difference;
        error.squared_sum += value * value;
        error.largest_error = std::max(error.largest_error, std::fabs(difference));
      }
    }
  };
  if (pool != nullptr)
    pool->run_ranges(matrix.rows, 16, measure);
  else
    measure(0, matrix.rows, 0);
  QuantizationError total;
  for (const QuantizationError& error : of_rows) {
    total.squared_error += error.squared_error;
    total.squared_sum += error.squared_sum;
    total.largest_error = std::max(total.largest_error, error.largest_error);
  }
  return total;
}

}  // namespace espalier
