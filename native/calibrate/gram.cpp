// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "calibrate/statistic.h"

namespace espalier {
namespace {

class Gram final : public Statistic {
 public:
  Status reserve(int64_t width) {
    width_ = width;
    ESP_RETURN_IF_ERROR(sums_.reserve(static_cast<size_t>(width * width) * sizeof(float)));
    std::memset(sums_.as<void>(), 0, sums_.size());
    return Status::ok();
  }

  Status add(TrainContext& context, const TapView& view) override {
    return product(context, {view.x, view.x, sums_.as<float>(), width_, width_, view.sequences * view.length, width_,
                             width_, width_, true, false, 1.0f, 1.0f});
  }
  int64_t count() const override { return width_ * width_; }
  void read(double* out) const override {
    for (int64_t i = 0; i < width_ * width_; ++i) out[i] = sums_.as<float>()[i];
  }

 private:
  int64_t width_ = 0;
  AlignedBuffer sums_;  // [width, width]
};

}  // namespace

Status make_gram(int64_t width, std::unique_ptr<Statistic>* out) {
  auto gram = std::make_unique<Gram>();
  ESP_RETURN_IF_ERROR(gram->reserve(width));
  *out = std::move(gram);
  return Status::ok();
}

}  // namespace espalier
