// Where a checkpoint keeps a tensor, and reading it as float32 whatever it is stored in.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>

#include "core/dtype.h"
#include "core/mapped_file.h"
#include "core/status.h"
#include "quant/ggml_blocks.h"
#include "quant/layouts/layout.h"

namespace espalier {

// A tensor [rows, cols], row-major; a vector of n elements is [1, n].
struct TensorSource {
  uint64_t offset;  // of the first byte in the file; any alignment
  uint64_t size_bytes;
  SourceType type;
  int64_t rows, cols;
  // 0: as stored. Otherwise the heads of a q_proj (or kv heads of a k_proj) that a GGUF file of the llama family keeps
  // with each head's two rotary halves interleaved; reading puts the rows (a bias: the elements) back in order.
  int32_t permute_heads;
  // Codes and scales in tensors of their own: then offset, size and type say nothing.
  std::shared_ptr<const QuantizedSource> quantized = nullptr;
};

// Sizes agree with the shape and lie inside the file. ERR_FILE_TRUNCATED, ERR_SHAPE.
Status check_tensor_source(const MappedFile& file, const TensorSource& source);

// Rows [row_begin, row_begin + row_count) -> out [row_count, cols] f32. Safe to call from many threads.
Status read_tensor_f32(const MappedFile& file, const TensorSource& source, int64_t row_begin, int64_t row_count,
                       float* out);

// The same rounded to f32, f16 or bf16. ERR_WEIGHT_VALUE when a finite value overflows to infinity.
Status read_tensor_as(const MappedFile& file, const TensorSource& source, int64_t row_begin, int64_t row_count,
                      DType to, void* out);

// count values -> f16 or bf16. ERR_WEIGHT_VALUE, naming the file, when a finite value overflows to infinity.
Status narrow_f32(const MappedFile& file, const float* wide, size_t count, DType to, uint16_t* out);

}  // namespace espalier
