// The registry of weight formats. A format is a value: one row here, one file in quant/, kernels in kernels/matmul/.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "kernels/matmul/linear_kernel.h"

namespace espalier {

class ThreadPool;
struct PackedMatrix;
struct QuantizedMatrix;

// A linear layer's weight is W [n, k]: n output rows, k input columns (the layout of a checkpoint).
struct WeightFormat {
  const char* id;          // "f32" "f16" "bf16" "int8" "int8-w8a8" "int4-g64" "nf4" ...
  const char* activation;  // what x is turned into before the product: a name of convert_activations in matmul_ref.cpp
  double bits_per_weight;  // scales excluded
  int layout_version;      // raised when the packed bytes change meaning

  // Bytes of a packed W [n, k], scales included, a multiple of 64. 0 when n or k is 0.
  size_t (*packed_bytes)(int64_t n, int64_t k);
  // w [n, k] f32 row-major -> packed, 64-byte aligned. ERR_WEIGHT_VALUE when the format cannot hold a value (NaN, Inf).
  Status (*pack)(const float* w, int64_t n, int64_t k, void* packed, ThreadPool* pool);
  // Dequantized rows [row_begin, row_begin + count) -> out [count, k] f32.
  void (*unpack_rows)(const void* packed, int64_t n, int64_t k, int64_t row_begin, int64_t count, float* out);

  // The same of a quantized weight, losing nothing; nullptr for formats of floats. ERR_WEIGHT_FORMAT when the codes,
  // the groups or the zero points are not this format's.
  Status (*pack_quantized)(const QuantizedMatrix& matrix, void* packed, ThreadPool* pool);
  // Columns that share a scale, 0 the whole row; what kernels know as LinearProblem::group.
  int64_t group;

  // Kernels by ISA level; nullptr where a level brings nothing new (the next lower one is taken). [kRef] is never null.
  const LinearKernel* cpu[kIsaCount];

  // The scale of x is known beforehand: a packed W ends in kInputScaleBytes, of which the first are that scale (f32).
  bool has_input_scale = false;
};

constexpr size_t kInputScaleBytes = 64;
// 0 for formats without one, and when W is empty; NaN when W is not there yet (data nullptr).
float input_scale_of(const PackedMatrix& weight);

// nullptr when unknown.
const WeightFormat* find_weight_format(const std::string& id);
const std::vector<const WeightFormat*>& weight_formats();
// "f32, f16, bf16, ..." for messages.
std::string weight_format_names();

// The kernel that runs at `isa`: the highest level <= isa that the row fills.
const LinearKernel* select_linear_kernel(const WeightFormat& format, Isa isa);

}  // namespace espalier
