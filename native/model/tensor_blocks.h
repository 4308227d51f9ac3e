// A tensor's rows in one of GGUF's element types and in GGUF's order.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/mapped_file.h"
#include "core/status.h"
#include "core/thread_pool.h"
#include "model/tensor_source.h"

namespace espalier {

struct BlockRows {
  int64_t row_begin, row_count;  // of what is written
  SourceType type;
  // 0: rows in the model's order. Otherwise the heads of a q_proj or kv heads of a k_proj whose two rotary halves are
  // interleaved, row by row (a bias: element by element); the inverse of TensorSource::permute_heads.
  int32_t interleave_heads;
};

// Bytes of `rows`; -1 when the type cannot be written or its blocks do not divide the columns.
int64_t block_rows_bytes(const TensorSource& source, const BlockRows& rows);

// -> out [block_rows_bytes]. Blocks already of that type are copied as they are. ERR_WEIGHT_VALUE for what is not
// finite and for values beyond the type. The pool must not be in use by the caller.
Status encode_block_rows(const MappedFile& file, const TensorSource& source, const BlockRows& rows, ThreadPool* pool,
                         uint8_t* out);

}  // namespace espalier
