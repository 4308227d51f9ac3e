// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <vector>

#include "calibrate/statistic.h"
#include "kernels/channel_moments/channel_moments.h"
#include "kernels/dispatch.h"

namespace espalier {
namespace {

// Of one channel over the positions of a sequence.
struct Sums {
  double absolute, plain, squares;
};

class Moments final : public Statistic {
 public:
  explicit Moments(int64_t width) : width_(width), totals_(static_cast<size_t>(12 * width)) {}

  Status add(TrainContext& context, const TapView& view) override {
    sums_.resize(static_cast<size_t>(view.sequences * 3 * width_));
    ESP_RETURN_IF_ERROR(
        channel_moments(context.cpu, {view.x, width_, view.sequences, view.length, 1, width_, sums_.data()}));
    for_row_ranges(context.cpu, width_, 12 * view.sequences, [&](int64_t begin, int64_t end) {
      for (int64_t sequence = 0; sequence < view.sequences; ++sequence) add_sequence(view, sequence, begin, end);
    });
    return Status::ok();
  }
  int64_t count() const override { return 12 * width_; }
  void read(double* out) const override { std::copy(totals_.begin(), totals_.end(), out); }

 private:
  void add_sequence(const TapView& view, int64_t sequence, int64_t begin, int64_t end) {
    const double* sums = sums_.data() + sequence * 3 * width_;
    const float* first = view.x + sequence * view.length * width_;
    for (int64_t i = begin; i < end; ++i) {
      const Sums rest{sums[i], sums[width_ + i], sums[2 * width_ + i]};
      const double x = first[i];
      add_aggregates(0, i, {rest.absolute + std::fabs(x), rest.plain + x, rest.squares + x * x}, view.length);
      if (view.length > 1) add_aggregates(1, i, rest, view.length - 1);
    }
  }

  void add_aggregates(int64_t without_first, int64_t channel, const Sums& sums, int64_t positions) {
    const double n = static_cast<double>(positions), mean = sums.plain / n;
    const double variance = sums.squares / n - mean * mean;
    const double aggregates[3] = {sums.absolute / n, std::sqrt(sums.squares), variance > 0 ? variance : 0};
    for (int64_t kind = 0; kind < 3; ++kind) {
      double* total = totals_.data() + (without_first * 3 + kind) * 2 * width_ + channel;
      total[0] += aggregates[kind];
      total[width_] += aggregates[kind] * aggregates[kind];
    }
  }

  int64_t width_;
  std::vector<double> sums_;    // of the batch
  std::vector<double> totals_;  // as read
};

}  // namespace

Status make_moments(int64_t width, std::unique_ptr<Statistic>* out) {
  *out = std::make_unique<Moments>(width);
  return Status::ok();
}

}  // namespace espalier
