// Statistic: what a calibration pass accumulates at a tap. A new kind is a new file and a row of statistic.cpp.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include "train/train_context.h"

namespace espalier {

struct TapView {
  const float* x;            // [sequences * length, width]
  const float* block_input;  // the same for the residual stream before the block; only where x is its output
  int64_t width, sequences, length;
};

class Statistic {
 public:
  virtual ~Statistic() = default;
  virtual Status add(TrainContext& context, const TapView& view) = 0;
  // Numbers that read() writes.
  virtual int64_t count() const = 0;
  virtual void read(double* out) const = 0;
};

// kind: "moments", "cosine", "gram" or "range"; width: of the tap. ERR_ARGUMENT, ERR_OUT_OF_MEMORY.
Status make_statistic(const std::string& kind, int64_t width, std::unique_ptr<Statistic>* out);

// Aggregates of a channel over the positions of a sequence, then sums of these over sequences:
// [with and without the first position][mean of |x|, L2 norm, variance][Σ, Σ of squares][width].
Status make_moments(int64_t width, std::unique_ptr<Statistic>* out);
// Cosine between a block's input and output, averaged over a sequence's positions, summed over sequences:
// [with and without the first position].
Status make_cosine(int64_t width, std::unique_ptr<Statistic>* out);
// Σ x xᵀ over tokens: [width, width].
Status make_gram(int64_t width, std::unique_ptr<Statistic>* out);
// [smallest, largest][width], then a histogram of |x| over all channels: counts by power of two, [kRangeBins]. Bin i
// holds 2^(i - kRangeZero - 1) <= |x| < 2^(i - kRangeZero); the ends hold what is beyond.
constexpr int64_t kRangeBins = 64, kRangeZero = 40;
Status make_range(int64_t width, std::unique_ptr<Statistic>* out);

}  // namespace espalier
