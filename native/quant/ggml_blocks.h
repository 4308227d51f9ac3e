// Element types a checkpoint may store a tensor in, GGUF's block types among them, and their exact dequantization.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace espalier {

enum class SourceType : int32_t { kF32 = 0, kF16 = 1, kBF16 = 2, kF64 = 3, kQ8_0 = 4, kQ4_0 = 5, kQ4_1 = 6 };

struct SourceTypeInfo {
  SourceType type;
  const char* name;        // "q4_1"
  int32_t block_elements;  // 1 for the plain types; divides the columns of a tensor
  int32_t block_bytes;
  // blocks [count * block_bytes], any alignment -> out [count * block_elements] f32
  void (*dequantize)(const uint8_t* blocks, int64_t count, float* out);
};

const std::vector<SourceTypeInfo>& source_types();
// nullptr when unknown.
const SourceTypeInfo* source_type_info(SourceType type);
const SourceTypeInfo* source_type_by_name(const std::string& name);
// "f32, f16, ..." for messages.
std::string source_type_names();

}  // namespace espalier
