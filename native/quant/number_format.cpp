// The table of number formats.
// SPDX-License-Identifier: Apache-2.0
#include "quant/number_format.h"

#include "core/dtype.h"

namespace espalier {

extern const NumberFormat kNumberFormatInt8;
extern const NumberFormat kNumberFormatInt4;
extern const NumberFormat kNumberFormatE4M3;
extern const NumberFormat kNumberFormatE5M2;
extern const NumberFormat kNumberFormatNf4;
extern const NumberFormat kNumberFormatFp4;
extern const NumberFormat kNumberFormatMxFp8;
extern const NumberFormat kNumberFormatMxFp4;
extern const NumberFormat kNumberFormatNvFp4;

const std::vector<const NumberFormat*>& number_formats() {
  // Never destroyed: threads may run on while the process exits.
  static const auto& table = *new std::vector<const NumberFormat*>{
      &kNumberFormatInt8, &kNumberFormatInt4,  &kNumberFormatE4M3,  &kNumberFormatE5M2,  &kNumberFormatNf4,
      &kNumberFormatFp4,  &kNumberFormatMxFp8, &kNumberFormatMxFp4, &kNumberFormatNvFp4,
  };
  return table;
}

const NumberFormat* find_number_format(const std::string& id) {
  for (const NumberFormat* format : number_formats())
    if (id == format->id) return format;
  return nullptr;
}

std::string number_format_names() {
  std::string names;
  for (const NumberFormat* format : number_formats()) names += (names.empty() ? "" : ", ") + std::string(format->id);
  return names;
}

float round_scale(float scale, ScaleType type) {
  if (type == ScaleType::kF16) return f16_to_f32(f32_to_f16(scale));
  if (type == ScaleType::kBF16) return bf16_to_f32(f32_to_bf16(scale));
  return scale;
}

}  // namespace espalier
