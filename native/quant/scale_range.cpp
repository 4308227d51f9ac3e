// SPDX-License-Identifier: Apache-2.0
#include "quant/scale_range.h"

#include <algorithm>
#include <cmath>

namespace espalier {

void CellCoder::scales_of(const float* low, const float* high, int64_t count, float* scales, float* zeros) const {
  format->scales_of(low, high, count, global, scales, symmetric ? nullptr : zeros);
  if (format->own_scale != ScaleType::kF32 || scale_type == ScaleType::kF32) return;
  for (int64_t i = 0; i < count; ++i) scales[i] = round_scale(scales[i], scale_type);
}

CellScale CellCoder::scale_of(ScaleRange range) const {
  CellScale scale{0.0f, 0.0f};
  scales_of(&range.low, &range.high, 1, &scale.scale, &scale.zero);
  return scale;
}

double CellCoder::squared_error(const float* w, int64_t count, CellScale scale, uint8_t* codes) const {
  kernel->encode[static_cast<int>(format->type)](w, count, count, &scale.scale, &scale.zero, codes);
  const auto values = code_values(format->type);
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) {
    const double difference = w[i] - static_cast<double>(values[codes[i]] - scale.zero) * scale.scale;
    sum += difference * difference;
  }
  return sum;
}

ScaleRange percentile_range(const float* values, int64_t count, double percentile, std::vector<float>* scratch) {
  scratch->resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) (*scratch)[static_cast<size_t>(i)] = std::fabs(values[i]);
  const auto place = static_cast<int64_t>(std::ceil(percentile * static_cast<double>(count))) - 1;
  const auto nth = scratch->begin() + std::clamp<int64_t>(place, 0, count - 1);
  std::nth_element(scratch->begin(), nth, scratch->end());
  const float limit = *nth;
  ScaleRange range;
  for (int64_t i = 0; i < count; ++i) {
    range.low = std::min(range.low, std::max(values[i], -limit));
    range.high = std::max(range.high, std::min(values[i], limit));
  }
  return range;
}

ScaleRange least_error_range(const CellCoder& coder, const float* values, int64_t count, ScaleRange largest,
                             std::vector<uint8_t>* scratch) {
  constexpr int kSteps = 30;
  scratch->resize(static_cast<size_t>(count));
  ScaleRange best = largest;
  double least = coder.squared_error(values, count, coder.scale_of(largest), scratch->data());
  for (int step = 1; step <= kSteps; ++step) {
    const float shrink = 1.0f - 0.02f * static_cast<float>(step);
    const ScaleRange range{largest.low * shrink, largest.high * shrink};
    const double error = coder.squared_error(values, count, coder.scale_of(range), scratch->data());
    if (error < least) {
      least = error;
      best = range;
    }
  }
  return best;
}

}  // namespace espalier
