// SPDX-License-Identifier: Apache-2.0
#include "quant/code_type.h"

#include <array>

#include "quant/fp8.h"
#include "quant/table4_values.h"

namespace espalier {
namespace {

// Symmetric integers use the whole range of their codes, as compressed-tensors does: 127.5 and 7.5.
constexpr CodeTypeInfo kTypes[kCodeTypes] = {
    {CodeType::kInt8, "int8", 8, 127.5f},
    {CodeType::kInt4, "int4", 4, 7.5f},
    {CodeType::kFp8E4M3, "fp8_e4m3", 8, 448.0f},
    {CodeType::kFp8E5M2, "fp8_e5m2", 8, 57344.0f},
    {CodeType::kNf4, "nf4", 4, 1.0f},
    {CodeType::kFp4, "fp4", 4, 1.0f},
    {CodeType::kE2M1, "e2m1", 4, 6.0f},
};

using Table = std::array<float, 256>;

Table table_of(CodeType type) {
  Table table{};
  for (int code = 0; code < 256; ++code) {
    const auto byte = static_cast<uint8_t>(code);
    switch (type) {
      case CodeType::kInt8:
        table[code] = static_cast<int8_t>(byte);
        break;
      case CodeType::kInt4:
        table[code] = kInt4Values[code & 15];
        break;
      case CodeType::kFp8E4M3:
        table[code] = fp8_e4m3_to_f32(byte);
        break;
      case CodeType::kFp8E5M2:
        table[code] = fp8_e5m2_to_f32(byte);
        break;
      case CodeType::kNf4:
        table[code] = kNf4Values[code & 15];
        break;
      case CodeType::kFp4:
        table[code] = kFp4Values[code & 15];
        break;
      case CodeType::kE2M1:
        table[code] = kE2M1Values[code & 15];
        break;
    }
  }
  return table;
}

}  // namespace

const CodeTypeInfo& code_type_info(CodeType type) { return kTypes[static_cast<int>(type)]; }

const CodeTypeInfo* code_type_by_name(const std::string& name) {
  for (const CodeTypeInfo& info : kTypes)
    if (name == info.name) return &info;
  return nullptr;
}

std::string code_type_names() {
  std::string names;
  for (const CodeTypeInfo& info : kTypes) names += (names.empty() ? "" : ", ") + std::string(info.name);
  return names;
}

std::span<const float> code_values(CodeType type) {
  // Never destroyed: threads may run on while the process exits.
  static const auto& tables = *new std::array<Table, kCodeTypes>([] {
    std::array<Table, kCodeTypes> all{};
    for (int i = 0; i < kCodeTypes; ++i) all[i] = table_of(static_cast<CodeType>(i));
    return all;
  }());
  const Table& table = tables[static_cast<int>(type)];
  return {table.data(), code_type_info(type).bits == 8 ? size_t{256} : size_t{16}};
}

}  // namespace espalier
