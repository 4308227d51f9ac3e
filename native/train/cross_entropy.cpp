// SPDX-License-Identifier: Apache-2.0
#include "train/cross_entropy.h"

#include <cmath>
#include <cstring>

#include "kernels/dispatch.h"
#include "kernels/softmax/softmax_tile.h"

namespace espalier {

Status cross_entropy(const CpuContext& context, const CrossEntropyArgs& args) {
  const SoftmaxTile& tile = softmax_tile(context.isa);
  for_row_ranges(context, args.rows, 4 * args.vocab, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      float* x = args.logits + row * args.vocab;
      args.losses[row] = 0;
      if (args.labels[row] < 0) {
        std::memset(x, 0, static_cast<size_t>(args.vocab) * sizeof(float));
        continue;
      }
      const float maximum = tile.row_max(x, args.vocab), target = x[args.labels[row]];
      const bool gradient = args.gradient_weight != 0.0f;
      const double sum = tile.exp_sum(x, args.vocab, maximum, 1.0f, gradient ? x : nullptr);
      args.losses[row] = std::log(sum) + maximum - target;
      if (!gradient) continue;
      tile.multiply(x, args.vocab, static_cast<float>(args.gradient_weight / sum));
      x[args.labels[row]] -= args.gradient_weight;
    }
  });
  return Status::ok();
}

}  // namespace espalier
