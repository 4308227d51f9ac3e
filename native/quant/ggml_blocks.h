// Element types a checkpoint may store a tensor in, GGUF's block types among them: exact dequantization, and the
// quantizers of the types that are written.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace espalier {

enum class SourceType : int32_t {
  kF32 = 0,
  kF16 = 1,
  kBF16 = 2,
  kF64 = 3,
  kQ8_0 = 4,
  kQ4_0 = 5,
  kQ4_1 = 6,
  kQ5_0 = 7,
  kQ5_1 = 8,
  kQ4_K = 9,
  kQ5_K = 10,
  kQ6_K = 11
};

struct SourceTypeInfo {
  SourceType type;
  const char* name;        // "q4_1"
  int32_t block_elements;  // 1 for the plain types; divides the columns of a tensor
  int32_t block_bytes;
  // blocks [count * block_bytes], any alignment -> out [count * block_elements] f32
  void (*dequantize)(const uint8_t* blocks, int64_t count, float* out);
  // values [count * block_elements] f32, finite -> blocks [count * block_bytes]. False when a value or a block's scale
  // is beyond what the type holds. nullptr: the type is only read.
  bool (*quantize)(const float* values, int64_t count, uint8_t* blocks);
};

const std::vector<SourceTypeInfo>& source_types();
// nullptr when unknown.
const SourceTypeInfo* source_type_info(SourceType type);
const SourceTypeInfo* source_type_by_name(const std::string& name);
// "f32, f16, ..." for messages.
std::string source_type_names();

}  // namespace espalier
