// What is folded into a weight as it is read: norm gains, rotations of the residual stream (QuaRot, arXiv 2404.00456).
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>

#include "core/thread_pool.h"
#include "model/tensor_source.h"

namespace espalier {

// Of W [rows, cols], in this order.
struct WeightTransform {
  bool fills = false;  // every value becomes `fill`: a norm's gain that was folded elsewhere
  float fill = 0;
  // Multiplies W's columns: a norm's gain of cols values. nullptr: none.
  std::shared_ptr<const MappedFile> scale_file = nullptr;
  TensorSource scale{};
  bool rotate_columns = false;  // W R: the layer reads a rotated residual stream
  bool rotate_rows = false;     // Rᵀ W, or b R of a bias [1, n]: the layer writes one

  bool changes() const { return fills || scale_file != nullptr || rotate_columns || rotate_rows; }
};

// ERR_WEIGHT_VALUE, naming the element, when one of w [rows, cols] is NaN or infinite.
Status check_finite(const float* w, int64_t rows, int64_t cols, ThreadPool* pool);

// In place on w [rows, cols]: the whole weight, or without rotate_rows some of its rows. The same bits for any number
// of threads. ERR_WEIGHT_VALUE when w is not finite before or after, ERR_SHAPE when the gain does not fit.
Status apply_weight_transform(const WeightTransform& transform, float* w, int64_t rows, int64_t cols, ThreadPool* pool);

// read_tensor_as of what the transform makes of the rows; all of them with rotate_rows.
Status read_transformed_as(const MappedFile& file, const TensorSource& source, const WeightTransform& transform,
                           int64_t row_begin, int64_t row_count, DType to, ThreadPool* pool, void* out);

}  // namespace espalier
