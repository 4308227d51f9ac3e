// The codes that quantized weights are made of, and the values they stand for.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <span>
#include <string>

namespace espalier {

// A code is held in a byte of its own wherever it is not packed:
//   int8  two's complement          int4  value + 8          fp8  the byte
//   nf4, fp4  bitsandbytes' index   e2m1  sign << 3 | index of 0 .5 1 1.5 2 3 4 6 (OCP Microscaling, 2023)
enum class CodeType : int32_t { kInt8 = 0, kInt4, kFp8E4M3, kFp8E5M2, kNf4, kFp4, kE2M1 };
constexpr int kCodeTypes = 7;

struct CodeTypeInfo {
  CodeType type;
  const char* name;  // "int8" "int4" "fp8_e4m3" "fp8_e5m2" "nf4" "fp4" "e2m1"
  int bits;
  float largest;  // magnitude that a scale maps the largest weight to: scale = absmax / largest
};

const CodeTypeInfo& code_type_info(CodeType type);
// nullptr when unknown.
const CodeTypeInfo* code_type_by_name(const std::string& name);
std::string code_type_names();

// The value of every code: 256 or 16 of them.
std::span<const float> code_values(CodeType type);

}  // namespace espalier
