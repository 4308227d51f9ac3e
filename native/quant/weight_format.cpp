// The table of weight formats.
// SPDX-License-Identifier: Apache-2.0
#include "quant/weight_format.h"

#include <cstring>
#include <limits>
#include <span>

#include "core/kernel_log.h"
#include "kernels/matmul/matmul.h"

namespace espalier {

extern const WeightFormat kWeightFormatF32;
extern const WeightFormat kWeightFormatF16;
extern const WeightFormat kWeightFormatBF16;
extern const WeightFormat kWeightFormatInt8;
extern const WeightFormat kWeightFormatInt8W8A8;
extern const WeightFormat kWeightFormatsInt8Grouped[7];
extern const WeightFormat kWeightFormatsInt4[8];
extern const WeightFormat kWeightFormatsTable4[5];
extern const WeightFormat kWeightFormatsFp8[6];
extern const WeightFormat kWeightFormatsStatic[2];

const std::vector<const WeightFormat*>& weight_formats() {
  // Never destroyed: an engine's or trainer's thread may run on while the process exits.
  static const auto& table = *new std::vector<const WeightFormat*>([] {
    std::vector<const WeightFormat*> rows = {&kWeightFormatF32, &kWeightFormatF16, &kWeightFormatBF16,
                                             &kWeightFormatInt8, &kWeightFormatInt8W8A8};
    for (const auto family :
         {std::span<const WeightFormat>(kWeightFormatsInt8Grouped), std::span<const WeightFormat>(kWeightFormatsInt4),
          std::span<const WeightFormat>(kWeightFormatsTable4), std::span<const WeightFormat>(kWeightFormatsFp8),
          std::span<const WeightFormat>(kWeightFormatsStatic)})
      for (const WeightFormat& format : family) rows.push_back(&format);
    return rows;
  }());
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

float input_scale_of(const PackedMatrix& weight) {
  const size_t bytes = weight.format->has_input_scale ? weight.format->packed_bytes(weight.n, weight.k) : 0;
  if (bytes == 0) return 0.0f;
  if (weight.data == nullptr) return std::numeric_limits<float>::quiet_NaN();
  float scale;
  std::memcpy(&scale, static_cast<const char*>(weight.data) + bytes - kInputScaleBytes, sizeof(scale));
  return scale;
}

const LinearKernel* select_linear_kernel(const WeightFormat& format, Isa isa) {
  int level = static_cast<int>(isa);
  while (level > 0 && format.cpu[level] == nullptr) --level;
  log_kernel(format.cpu[level]->name);
  return format.cpu[level];
}

}  // namespace espalier
