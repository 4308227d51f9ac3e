// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <vector>

#include "calibrate/statistic.h"
#include "kernels/dispatch.h"
#include "kernels/distance/distance_tile.h"

namespace espalier {
namespace {

void products_ref(const float* s, const float* t, int64_t n, double* sums) {
  sums[0] = sums[1] = sums[2] = 0;
  for (int64_t i = 0; i < n; ++i) {
    sums[0] += static_cast<double>(s[i]) * t[i];
    sums[1] += static_cast<double>(s[i]) * s[i];
    sums[2] += static_cast<double>(t[i]) * t[i];
  }
}

class Cosine final : public Statistic {
 public:
  explicit Cosine(int64_t width) : width_(width) {}

  Status add(TrainContext& context, const TapView& view) override {
    const int64_t tokens = view.sequences * view.length;
    cosines_.resize(static_cast<size_t>(tokens));
    const DistanceTile* tile = distance_tile(context.cpu.isa);
    const auto products = tile != nullptr ? tile->products : products_ref;
    for_row_ranges(context.cpu, tokens, 2 * width_, [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        double sums[3];
        products(view.block_input + row * width_, view.x + row * width_, width_, sums);
        const double norms = std::sqrt(sums[1]) * std::sqrt(sums[2]);
        cosines_[static_cast<size_t>(row)] = norms > 0 ? sums[0] / norms : 0;
      }
    });
    for (int64_t sequence = 0; sequence < view.sequences; ++sequence) {
      const double* row = cosines_.data() + sequence * view.length;
      double rest = 0;
      for (int64_t i = 1; i < view.length; ++i) rest += row[i];
      totals_[0] += (row[0] + rest) / static_cast<double>(view.length);
      if (view.length > 1) totals_[1] += rest / static_cast<double>(view.length - 1);
    }
    return Status::ok();
  }
  int64_t count() const override { return 2; }
  void read(double* out) const override {
    out[0] = totals_[0];
    out[1] = totals_[1];
  }

 private:
  int64_t width_;
  std::vector<double> cosines_;  // [tokens] of the batch
  double totals_[2] = {0, 0};
};

}  // namespace

Status make_cosine(int64_t width, std::unique_ptr<Statistic>* out) {
  *out = std::make_unique<Cosine>(width);
  return Status::ok();
}

}  // namespace espalier
