// QuantizedMatrix: a weight as codes, scales and zero points, whatever file they came from or method made them. Files
// are read into it and written from it; engines pack it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "core/buffer_allocator.h"
#include "core/status.h"
#include "core/thread_pool.h"
#include "quant/code_type.h"

namespace espalier {

// Which weights of W [rows, cols] share a scale: cells of row_span rows by col_span columns, or, `across_rows`
// (bitsandbytes), runs of col_span elements of the flattened matrix. Cells at the right and lower edge may be smaller.
//   per channel (1, cols) · group (1, 64) · block (128, 128) · per tensor (rows, cols)
struct ScaleGrid {
  int64_t row_span = 1;
  int64_t col_span = 1;
  bool across_rows = false;
};

using CodeVector = std::vector<uint8_t, BufferAllocator<uint8_t>>;

struct QuantizedMatrix {
  CodeType type = CodeType::kInt8;
  int64_t rows = 0, cols = 0;
  ScaleGrid grid;
  CodeVector codes;           // [rows, cols], see CodeType
  std::vector<float> scales;  // [scale_rows, scale_cols]
  std::vector<float> zeros;   // the same, in units of codes; empty: all 0
  // GPTQ with act-order: the group of every column [cols]; empty: col / col_span.
  std::vector<int32_t> column_groups;
  float global_scale = 1.0f;  // nvfp4: what the stored scales were multiplied with; `scales` are without it
  float input_scale = 0.0f;   // of the layer's input, known beforehand; 0: it is not

  int64_t scale_rows() const;
  int64_t scale_cols() const;
  size_t scale_index(int64_t row, int64_t col) const {
    if (grid.across_rows) return static_cast<size_t>((row * cols + col) / grid.col_span);
    const int64_t group = column_groups.empty() ? col / grid.col_span : column_groups[static_cast<size_t>(col)];
    return static_cast<size_t>(row / grid.row_span * scale_cols() + group);
  }
  float zero(size_t index) const { return zeros.empty() ? 0.0f : zeros[index]; }
};

// (values[code] - zero) * scale of rows [row_begin, row_begin + count) -> out [count, cols] f32.
void dequantize_rows(const QuantizedMatrix& matrix, int64_t row_begin, int64_t count, float* out);

// Sizes agree, scales are finite and (but for nf4 and fp4) not negative. ERR_SHAPE, ERR_QUANT_SCALE (names the first
// bad one).
Status check_quantized(const QuantizedMatrix& matrix);

// What rounding did to w [rows, cols].
struct QuantizationError {
  double squared_error = 0;  // Σ (w - ŵ)²
  double squared_sum = 0;    // Σ w²
  double largest_error = 0;  // max |w - ŵ|
};
QuantizationError quantization_error(const QuantizedMatrix& matrix, const float* w, ThreadPool* pool);

}  // namespace espalier
