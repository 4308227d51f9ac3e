// SPDX-License-Identifier: Apache-2.0
#include "quant/ggml_blocks.h"

#include <cmath>

#include "core/dtype.h"
#include "quant/ggml_blocks_256.h"
#include "quant/ggml_blocks_32.h"

namespace espalier {
namespace {

template <DType kType>
void dequantize_plain(const uint8_t* blocks, int64_t count, float* out) {
  convert_to_f32(kType, blocks, out, static_cast<size_t>(count));
}

template <DType kType>
bool quantize_plain(const float* values, int64_t count, uint8_t* blocks) {
  convert_from_f32(kType, values, blocks, static_cast<size_t>(count));
  if (kType == DType::kF32) return true;
  for (int64_t i = 0; i < count; ++i) {
    float back;
    convert_to_f32(kType, blocks + 2 * i, &back, 1);
    if (!std::isfinite(back)) return false;
  }
  return true;
}

}  // namespace

const std::vector<SourceTypeInfo>& source_types() {
  // Never destroyed: an engine's or trainer's thread may run on while the process exits.
  static const auto& table = *new std::vector<SourceTypeInfo>{
      {SourceType::kF32, "f32", 1, 4, dequantize_plain<DType::kF32>, quantize_plain<DType::kF32>},
      {SourceType::kF16, "f16", 1, 2, dequantize_plain<DType::kF16>, quantize_plain<DType::kF16>},
      {SourceType::kBF16, "bf16", 1, 2, dequantize_plain<DType::kBF16>, quantize_plain<DType::kBF16>},
      {SourceType::kF64, "f64", 1, 8, dequantize_plain<DType::kF64>, nullptr},
      {SourceType::kQ8_0, "q8_0", 32, 34, dequantize_q8_0, quantize_q8_0},
      {SourceType::kQ4_0, "q4_0", 32, 18, dequantize_q4_0, quantize_q4_0},
      {SourceType::kQ4_1, "q4_1", 32, 20, dequantize_q4_1, quantize_q4_1},
      {SourceType::kQ5_0, "q5_0", 32, 22, dequantize_q5_0, quantize_q5_0},
      {SourceType::kQ5_1, "q5_1", 32, 24, dequantize_q5_1, quantize_q5_1},
      {SourceType::kQ4_K, "q4_k", 256, 144, dequantize_q4_k, quantize_q4_k},
      {SourceType::kQ5_K, "q5_k", 256, 176, dequantize_q5_k, quantize_q5_k},
      {SourceType::kQ6_K, "q6_k", 256, 210, dequantize_q6_k, quantize_q6_k},
  };
  return table;
}

const SourceTypeInfo* source_type_info(SourceType type) {
  for (const SourceTypeInfo& info : source_types())
    if (info.type == type) return &info;
  return nullptr;
}

const SourceTypeInfo* source_type_by_name(const std::string& name) {
  for (const SourceTypeInfo& info : source_types())
    if (name == info.name) return &info;
  return nullptr;
}

std::string source_type_names() {
  std::string names;
  for (const SourceTypeInfo& info : source_types()) names += (names.empty() ? "" : ", ") + std::string(info.name);
  return names;
}

}  // namespace espalier
