// channel_moments: sums over rows, a channel at a time, for statistics of activations.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// x [groups * group_rows, width], rows ldx apart; the first `skip` rows of each group are left out.
// sums [groups, 3, width] = Σ |x|, Σ x, Σ x² over the group's rows, in float64 of float32 sums over up to 64 rows.
struct ChannelMomentsArgs {
  const float* x;
  int64_t ldx;
  int64_t groups, group_rows, skip, width;
  double* sums;
};
Status channel_moments(const CpuContext& context, const ChannelMomentsArgs& args);
Status channel_moments_ref(const ChannelMomentsArgs& args);

}  // namespace espalier
