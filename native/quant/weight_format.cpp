// The table of weight formats.
// SPDX-License-Identifier: Apache-2.0
#include "quant/weight_format.h"

#include "core/kernel_log.h"

namespace espalier {

extern const WeightFormat kWeightFormatF32;
extern const WeightFormat kWeightFormatF16;
extern const WeightFormat kWeightFormatBF16;
extern const WeightFormat kWeightFormatInt8;
extern const WeightFormat kWeightFormatInt8W8A8;

const std::vector<const WeightFormat*>& weight_formats() {
  // Never destroyed: an engine's or trainer's thread may run on while the process exits.
  static const auto& table = *new std::vector<const WeightFormat*>{
      &kWeightFormatF32, &kWeightFormatF16, &kWeightFormatBF16, &kWeightFormatInt8, &kWeightFormatInt8W8A8,
  };
  return table;
}

const WeightFormat* find_weight_format(const std::string& id) {
  for (const WeightFormat* format : weight_formats())
    if (id == format->id) return format;
  return nullptr;
}

std::string weight_format_names() {
  std::string names;
  for (const WeightFormat* format : weight_formats()) names += (names.empty() ? "" : ", ") + std::string(format->id);
  return names;
}

const LinearKernel* select_linear_kernel(const WeightFormat& format, Isa isa) {
  int level = static_cast<int>(isa);
  while (level > 0 && format.cpu[level] == nullptr) --level;
  log_kernel(format.cpu[level]->name);
  return format.cpu[level];
}

}  // namespace espalier
