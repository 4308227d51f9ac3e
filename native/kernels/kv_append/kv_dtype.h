// How a KV cache stores keys and values. The 8-bit types are codes with one f32 scale for each token and kv head.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/dtype.h"

namespace espalier {

constexpr int64_t kKvPageTokens = 32;

enum class KvDType : int32_t { kF32 = 0, kF16 = 1, kBF16 = 2, kInt8 = 3, kFp8 = 4 };

struct KvDTypeInfo {
  KvDType dtype;
  const char* name;
  int32_t size_bytes;  // of an element
  DType element;       // kU8 for e4m3 codes
  // value = code * scale; int8: code in [-127, 127], fp8: e4m3 in [-448, 448]. 0 when elements are the values.
  float largest_code;
};

constexpr const char* kKvDTypeNames = "f32, f16, bf16, int8 or fp8";

// nullptr when unknown.
const KvDTypeInfo* kv_dtype_info(KvDType dtype);
const KvDTypeInfo* kv_dtype_by_name(const char* name);

// One page of one kv head: its scales [kKvPageTokens] f32, if any, then its elements.
int64_t kv_scale_bytes(KvDType dtype);
int64_t kv_head_bytes(KvDType dtype, int64_t head_dim);

}  // namespace espalier
