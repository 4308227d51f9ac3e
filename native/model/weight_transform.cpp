// SPDX-License-Identifier: Apache-2.0
#include "model/weight_transform.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <vector>

#include "core/aligned_buffer.h"
#include "kernels/rotation/rotation.h"

namespace espalier {
namespace {

Status scale_columns(const WeightTransform& transform, float* w, int64_t rows, int64_t cols, ThreadPool* pool) {
  const TensorSource& source = transform.scale;
  if (source.rows * source.cols != cols)
    return Status("ERR_SHAPE",
                  format_text("columnScale: expected %lld values, found %lld", static_cast<long long>(cols),
                              static_cast<long long>(source.rows * source.cols)));
  std::vector<float> scale(static_cast<size_t>(cols));
  ESP_RETURN_IF_ERROR(read_tensor_f32(*transform.scale_file, source, 0, source.rows, scale.data()));
  pool->run_ranges(rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t col = 0; col < cols; ++col) w[row * cols + col] *= scale[static_cast<size_t>(col)];
  });
  return Status::ok();
}

void rotate_columns(float* w, int64_t rows, int64_t cols, ThreadPool* pool) {
  const Rotation rotation(cols);
  pool->run_ranges(rows, 16, [&](int64_t begin, int64_t end, int) {
    std::vector<float> scratch(static_cast<size_t>(cols));
    for (int64_t row = begin; row < end; ++row) rotation.apply(w + row * cols, scratch.data());
  });
}

// Rᵀ W: every column is rotated, some columns at a time through a transposed copy.
void rotate_rows(float* w, int64_t rows, int64_t cols, ThreadPool* pool) {
  const Rotation rotation(rows);
  constexpr int64_t kBlock = 16;
  pool->run_ranges(cols, kBlock, [&](int64_t first, int64_t last, int) {
    std::vector<float> block(static_cast<size_t>(kBlock * rows)), scratch(static_cast<size_t>(rows));
    for (int64_t begin = first; begin < last; begin += kBlock) {
      const int64_t count = std::min(kBlock, last - begin);
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = 0; i < count; ++i) block[static_cast<size_t>(i * rows + row)] = w[row * cols + begin + i];
      for (int64_t i = 0; i < count; ++i) rotation.apply(block.data() + i * rows, scratch.data());
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = 0; i < count; ++i) w[row * cols + begin + i] = block[static_cast<size_t>(i * rows + row)];
    }
  });
}

}  // namespace

Status check_finite(const float* w, int64_t rows, int64_t cols, ThreadPool* pool) {
  std::atomic<int64_t> first_bad{-1};
  pool->run_ranges(rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * cols; i < end * cols; ++i)
      if (!std::isfinite(w[i])) {
        first_bad.store(i);
        return;
      }
  });
  const int64_t at = first_bad.load();
  if (at < 0) return Status::ok();
  return Status("ERR_WEIGHT_VALUE", format_text("element [%lld, %lld]: expected a finite value, found %g",
                                                static_cast<long long>(at / cols), static_cast<long long>(at % cols),
                                                static_cast<double>(w[at])));
}

Status apply_weight_transform(const WeightTransform& transform, float* w, int64_t rows, int64_t cols,
                              ThreadPool* pool) {
  if (!transform.changes()) return Status::ok();
  // A rotation would spread one bad value over a whole row.
  ESP_RETURN_IF_ERROR(check_finite(w, rows, cols, pool));
  if (transform.fills) std::fill(w, w + rows * cols, transform.fill);
  if (transform.scale_file) ESP_RETURN_IF_ERROR(scale_columns(transform, w, rows, cols, pool));
  if (transform.rotate_columns) rotate_columns(w, rows, cols, pool);
  if (transform.rotate_rows && rows == 1) rotate_columns(w, rows, cols, pool);
  if (transform.rotate_rows && rows > 1) rotate_rows(w, rows, cols, pool);
  return check_finite(w, rows, cols, pool);
}

Status read_transformed_as(const MappedFile& file, const TensorSource& source, const WeightTransform& transform,
                           int64_t row_begin, int64_t row_count, DType to, ThreadPool* pool, void* out) {
  if (!transform.changes()) return read_tensor_as(file, source, row_begin, row_count, to, out);
  if (transform.rotate_rows && row_count != source.rows)
    return Status("ERR_ARGUMENT", "rotateRows: expected all rows to be read at once");
  if (to == DType::kF32) {
    ESP_RETURN_IF_ERROR(read_tensor_f32(file, source, row_begin, row_count, static_cast<float*>(out)));
    return apply_weight_transform(transform, static_cast<float*>(out), row_count, source.cols, pool);
  }
  AlignedBuffer wide;
  const size_t count = static_cast<size_t>(row_count) * static_cast<size_t>(source.cols);
  ESP_RETURN_IF_ERROR(wide.reserve(count * sizeof(float)));
  ESP_RETURN_IF_ERROR(read_tensor_f32(file, source, row_begin, row_count, wide.as<float>()));
  ESP_RETURN_IF_ERROR(apply_weight_transform(transform, wide.as<float>(), row_count, source.cols, pool));
  return narrow_f32(file, wide.as<float>(), count, to, static_cast<uint16_t*>(out));
}

}  // namespace espalier
