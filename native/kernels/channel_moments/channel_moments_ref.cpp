// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/channel_moments/channel_moments.h"

namespace espalier {

Status channel_moments_ref(const ChannelMomentsArgs& args) {
  for (int64_t group = 0; group < args.groups; ++group)
    for (int64_t channel = 0; channel < args.width; ++channel) {
      double absolute = 0, plain = 0, squares = 0;
      for (int64_t row = args.skip; row < args.group_rows; ++row) {
        const double value = args.x[(group * args.group_rows + row) * args.ldx + channel];
        absolute += std::fabs(value);
        plain += value;
        squares += value * value;
      }
      double* sums = args.sums + group * 3 * args.width + channel;
      sums[0] = absolute;
      sums[args.width] = plain;
      sums[2 * args.width] = squares;
    }
  return Status::ok();
}

}  // namespace espalier
