// Block layouts are ggml's, as GGUF files hold them. Products and sums are rounded one by one (no fused multiply-add),
// which gives the bits of the reference reader of the gguf Python package.
// SPDX-License-Identifier: Apache-2.0
#include "quant/ggml_blocks.h"

#include <cstring>

#include "core/dtype.h"

namespace espalier {
namespace {

constexpr int kBlock = 32;  // elements of Q8_0, Q4_0 and Q4_1

float f16_at(const uint8_t* bytes) {
  uint16_t half;
  std::memcpy(&half, bytes, sizeof half);
  return f16_to_f32(half);
}

template <DType kType>
void dequantize_plain(const uint8_t* blocks, int64_t count, float* out) {
  convert_to_f32(kType, blocks, out, static_cast<size_t>(count));
}

// 34 bytes: f16 d, 32 int8 q; w = d * q
void dequantize_q8_0(const uint8_t* blocks, int64_t count, float* out) {
  for (int64_t block = 0; block < count; ++block, blocks += 34, out += kBlock) {
    const float d = f16_at(blocks);
    const int8_t* q = reinterpret_cast<const int8_t*>(blocks + 2);
    for (int i = 0; i < kBlock; ++i) out[i] = d * static_cast<float>(q[i]);
  }
}

// 18 bytes: f16 d, 16 bytes whose low nibbles are elements 0..15 and high nibbles 16..31; w = d * (q - 8)
void dequantize_q4_0(const uint8_t* blocks, int64_t count, float* out) {
  for (int64_t block = 0; block < count; ++block, blocks += 18, out += kBlock) {
    const float d = f16_at(blocks);
    for (int i = 0; i < kBlock / 2; ++i) {
      const int byte = blocks[2 + i];
      out[i] = d * static_cast<float>((byte & 15) - 8);
      out[i + kBlock / 2] = d * static_cast<float>((byte >> 4) - 8);
    }
  }
}

// 20 bytes: f16 d, f16 m, nibbles as in Q4_0; w = d * q + m
void dequantize_q4_1(const uint8_t* blocks, int64_t count, float* out) {
  for (int64_t block = 0; block < count; ++block, blocks += 20, out += kBlock) {
    const float d = f16_at(blocks);
    const float m = f16_at(blocks + 2);
    for (int i = 0; i < kBlock / 2; ++i) {
      const int byte = blocks[4 + i];
      out[i] = d * static_cast<float>(byte & 15) + m;
      out[i + kBlock / 2] = d * static_cast<float>(byte >> 4) + m;
    }
  }
}

}  // namespace

const std::vector<SourceTypeInfo>& source_types() {
  // Never destroyed: an engine's or trainer's thread may run on while the process exits.
  static const auto& table = *new std::vector<SourceTypeInfo>{
      {SourceType::kF32, "f32", 1, 4, dequantize_plain<DType::kF32>},
      {SourceType::kF16, "f16", 1, 2, dequantize_plain<DType::kF16>},
      {SourceType::kBF16, "bf16", 1, 2, dequantize_plain<DType::kBF16>},
      {SourceType::kF64, "f64", 1, 8, dequantize_plain<DType::kF64>},
      {SourceType::kQ8_0, "q8_0", kBlock, 34, dequantize_q8_0},
      {SourceType::kQ4_0, "q4_0", kBlock, 18, dequantize_q4_0},
      {SourceType::kQ4_1, "q4_1", kBlock, 20, dequantize_q4_1},
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
