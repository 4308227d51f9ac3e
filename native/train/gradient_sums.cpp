// SPDX-License-Identifier: Apache-2.0
#include "train/gradient_sums.h"

#include <algorithm>
#include <utility>

namespace espalier {
namespace {

// Parameters are aligned: at most this many floats lie between neighbours, always zero.
constexpr int64_t kPadding = 64;

}  // namespace

GradientSums::GradientSums(std::shared_ptr<Communicator> ranks, Parameters* parameters) : ranks_(std::move(ranks)) {
  int64_t layers = 0;
  for (const Parameter& parameter : parameters->list()) layers = std::max(layers, parameter.tensor.layer + 1);
  layers_.resize(static_cast<size_t>(layers) + 1);
  for (Parameter& parameter : parameters->list()) {
    if (!parameter.trainable) continue;
    const int64_t layer = parameter.tensor.layer < 0 ? layers : parameter.tensor.layer;
    layers_[static_cast<size_t>(layer)].push_back({parameter.gradient(), parameter.gradient() + parameter.count()});
  }
  for (std::vector<Range>& ranges : layers_) {
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
    std::vector<Range> joined;
    for (const Range& range : ranges) {
      if (!joined.empty() && range.begin - joined.back().end < kPadding)
        joined.back().end = range.end;
      else
        joined.push_back(range);
    }
    ranges = std::move(joined);
  }
  started_.assign(layers_.size(), false);
}

Status GradientSums::start(size_t index) {
  started_[index] = true;
  for (const Range& range : layers_[index])
    ESP_RETURN_IF_ERROR(ranks_->start_sum(range.begin, range.end - range.begin));
  return Status::ok();
}

Status GradientSums::layer_ready(int64_t layer) {
  if (!last_) return Status::ok();
  ESP_RETURN_IF_ERROR(start(static_cast<size_t>(layer)));
  return ranks_->progress();
}

Status GradientSums::finish() {
  for (size_t i = started_.size(); i-- > 0;)
    if (!started_[i]) ESP_RETURN_IF_ERROR(start(i));
  started_.assign(started_.size(), false);
  last_ = false;
  return ranks_->wait();
}

}  // namespace espalier
