// SPDX-License-Identifier: Apache-2.0
#include "kernels/kv_append/kv_dtype.h"

#include <cstring>

namespace espalier {
namespace {

const KvDTypeInfo kTable[] = {
    {KvDType::kF32, "f32", 4, DType::kF32, 0},    {KvDType::kF16, "f16", 2, DType::kF16, 0},
    {KvDType::kBF16, "bf16", 2, DType::kBF16, 0}, {KvDType::kInt8, "int8", 1, DType::kI8, 127},
    {KvDType::kFp8, "fp8", 1, DType::kU8, 448},
};

}  // namespace

const KvDTypeInfo* kv_dtype_info(KvDType dtype) {
  for (const KvDTypeInfo& info : kTable)
    if (info.dtype == dtype) return &info;
  return nullptr;
}

const KvDTypeInfo* kv_dtype_by_name(const char* name) {
  for (const KvDTypeInfo& info : kTable)
    if (std::strcmp(info.name, name) == 0) return &info;
  return nullptr;
}

int64_t kv_scale_bytes(KvDType dtype) {
  return kv_dtype_info(dtype)->largest_code == 0 ? 0 : kKvPageTokens * static_cast<int64_t>(sizeof(float));
}

int64_t kv_head_bytes(KvDType dtype, int64_t head_dim) {
  return kv_scale_bytes(dtype) + head_dim * kKvPageTokens * kv_dtype_info(dtype)->size_bytes;
}

}  // namespace espalier
