// SPDX-License-Identifier: Apache-2.0
#include "core/dtype.h"

#include <cstring>

namespace espalier {
namespace {

const DTypeInfo kTable[] = {
    {DType::kF32, "f32", "F32", 4}, {DType::kF16, "f16", "F16", 2}, {DType::kBF16, "bf16", "BF16", 2},
    {DType::kI8, "i8", "I8", 1},    {DType::kI32, "i32", "I32", 4}, {DType::kU8, "u8", "U8", 1},
    {DType::kF64, "f64", "F64", 8}, {DType::kI64, "i64", "I64", 8},
};

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

template <typename T>
T load(const void* source, size_t index) {
  T value;  // sources come from files and need not be aligned
  std::memcpy(&value, static_cast<const char*>(source) + index * sizeof(T), sizeof(T));
  return value;
}

}  // namespace

const DTypeInfo* dtype_info(DType dtype) {
  for (const DTypeInfo& info : kTable)
    if (info.dtype == dtype) return &info;
  return nullptr;
}

const DTypeInfo* dtype_by_name(const char* name) {
  for (const DTypeInfo& info : kTable)
    if (std::strcmp(info.name, name) == 0 || std::strcmp(info.safetensors, name) == 0) return &info;
  return nullptr;
}

float f16_to_f32(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16;
  const uint32_t exponent = (half >> 10) & 0x1fu;
  uint32_t mantissa = half & 0x3ffu;
  if (exponent == 31) {
    if (mantissa != 0) mantissa |= 0x200u;  // quiet, as F16C does
    return float_of(sign | 0x7f800000u | (mantissa << 13));
  }
  if (exponent == 0) {
    const float magnitude = static_cast<float>(mantissa) * 5.9604644775390625e-08f;  // 2^-24
    return float_of(sign | bits_of(magnitude));
  }
  return float_of(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

uint16_t f32_to_f16(float value) {
  const uint32_t bits = bits_of(value);
  const uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u | static_cast<uint16_t>((magnitude >> 13) & 0x3ffu);
  if (magnitude >= 0x47800000u) return sign | 0x7c00u;  // >= 65536, infinity included
  if (magnitude < 0x38800000u) {                        // below the smallest normal, 2^-14
    // 0.5 has an ulp of 2^-24, the f16 subnormal step: the addition rounds to nearest even for us.
    const uint32_t rounded = bits_of(float_of(magnitude) + 0.5f);
    return sign | static_cast<uint16_t>(rounded - 0x3f000000u);
  }
  const uint32_t odd = (magnitude >> 13) & 1u;
  return sign | static_cast<uint16_t>((magnitude - 0x38000000u + 0xfffu + odd) >> 13);
}

float bf16_to_f32(uint16_t half) { return float_of(static_cast<uint32_t>(half) << 16); }

uint16_t f32_to_bf16(float value) {
  const uint32_t bits = bits_of(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>((bits >> 16) | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

bool convert_to_f32(DType from, const void* source, float* out, size_t count) {
  switch (from) {
    case DType::kF32:
      std::memcpy(out, source, count * sizeof(float));
      return true;
    case DType::kF16:
      for (size_t i = 0; i < count; ++i) out[i] = f16_to_f32(load<uint16_t>(source, i));
      return true;
    case DType::kBF16:
      for (size_t i = 0; i < count; ++i) out[i] = bf16_to_f32(load<uint16_t>(source, i));
      return true;
    case DType::kF64:
      for (size_t i = 0; i < count; ++i) out[i] = static_cast<float>(load<double>(source, i));
      return true;
    default:
      return false;
  }
}

bool convert_from_f32(DType to, const float* source, void* out, size_t count) {
  switch (to) {
    case DType::kF32:
      std::memcpy(out, source, count * sizeof(float));
      return true;
    case DType::kF16:
      for (size_t i = 0; i < count; ++i) static_cast<uint16_t*>(out)[i] = f32_to_f16(source[i]);
      return true;
    case DType::kBF16:
      for (size_t i = 0; i < count; ++i) static_cast<uint16_t*>(out)[i] = f32_to_bf16(source[i]);
      return true;
    default:
      return false;
  }
}

}  // namespace espalier
