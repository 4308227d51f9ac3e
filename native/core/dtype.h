// Element types and the scalar float conversions every kernel is checked against.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

namespace espalier {

enum class DType : int32_t { kF32 = 0, kF16 = 1, kBF16 = 2, kI8 = 3, kI32 = 4, kU8 = 5, kF64 = 6, kI64 = 7 };

struct DTypeInfo {
  DType dtype;
  const char* name;         // "f32"
  const char* safetensors;  // "F32"
  int32_t size_bytes;
};

// nullptr when unknown.
const DTypeInfo* dtype_info(DType dtype);
const DTypeInfo* dtype_by_name(const char* name);
inline size_t dtype_size(DType dtype) { return dtype_info(dtype)->size_bytes; }

// IEEE binary16 <-> binary32: round to nearest even, subnormals kept, NaN payload's top bits kept and quieted.
float f16_to_f32(uint16_t half);
uint16_t f32_to_f16(float value);
// bfloat16 <-> binary32: round to nearest even, NaN stays NaN (quieted).
float bf16_to_f32(uint16_t half);
uint16_t f32_to_bf16(float value);

// Converts `count` elements; every source dtype to f32 and f32 to f32/f16/bf16. False when the pair is unsupported.
bool convert_to_f32(DType from, const void* source, float* out, size_t count);
bool convert_from_f32(DType to, const float* source, void* out, size_t count);

}  // namespace espalier
