// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "calibrate/statistic.h"
#include "kernels/dispatch.h"

namespace espalier {
namespace {

class Range final : public Statistic {
 public:
  explicit Range(int64_t width)
      : width_(width),
        low_(static_cast<size_t>(width), std::numeric_limits<float>::infinity()),
        high_(static_cast<size_t>(width), -std::numeric_limits<float>::infinity()),
        bins_(static_cast<size_t>(kRangeBins)) {}

  Status add(TrainContext& context, const TapView& view) override {
    const int64_t tokens = view.sequences * view.length;
    for_row_ranges(context.cpu, width_, tokens, [&](int64_t begin, int64_t end) {
      for (int64_t row = 0; row < tokens; ++row)
        for (int64_t i = begin; i < end; ++i) {
          const float value = view.x[row * width_ + i];
          const size_t channel = static_cast<size_t>(i);
          low_[channel] = std::min(low_[channel], value);
          high_[channel] = std::max(high_[channel], value);
        }
    });
    for (int64_t i = 0; i < tokens * width_; ++i) bins_[static_cast<size_t>(bin_of(view.x[i]))] += 1;
    return Status::ok();
  }
  int64_t count() const override { return 2 * width_ + kRangeBins; }
  void read(double* out) const override {
    out = std::copy(low_.begin(), low_.end(), out);
    out = std::copy(high_.begin(), high_.end(), out);
    std::copy(bins_.begin(), bins_.end(), out);
  }

 private:
  static int64_t bin_of(float value) {
    if (value == 0 || !std::isfinite(value)) return value == 0 ? 0 : kRangeBins - 1;
    return std::clamp<int64_t>(std::ilogb(value) + 1 + kRangeZero, 0, kRangeBins - 1);
  }

  int64_t width_;
  std::vector<float> low_, high_;
  std::vector<double> bins_;
};

}  // namespace

Status make_range(int64_t width, std::unique_ptr<Statistic>* out) {
  *out = std::make_unique<Range>(width);
  return Status::ok();
}

}  // namespace espalier
