// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "kernels/channel_moments/channel_moments.h"
#include "kernels/channel_moments/channel_moments_tile.h"
#include "kernels/checks.h"
#include "kernels/dispatch.h"

namespace espalier {
namespace {

const ChannelMomentsTile kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(&channel_moments_tile_avx2),
                                                 ESP_X86_VARIANT(&channel_moments_tile_avx512), nullptr};

Status check(const ChannelMomentsArgs& args) {
  const bool any = args.groups > 0 && args.group_rows > 0 && args.width > 0;
  return ArgumentChecks("channel_moments")
      .size("groups", args.groups)
      .size("group_rows", args.group_rows)
      .size("skip", args.skip)
      .size("width", args.width)
      .stride("ldx", args.ldx, args.width)
      .pointer("x", args.x, any)
      .pointer("sums", args.sums, args.groups > 0 && args.width > 0)
      .done();
}

// Channels [begin, begin + count) of one group.
void sum_channels(const ChannelMomentsArgs& args, ChannelMomentsTile tile, int64_t group, int64_t begin,
                  int64_t count) {
  double totals[3][kMomentChannels] = {};
  float sums[3][kMomentChannels];
  const float* x = args.x + group * args.group_rows * args.ldx + begin;
  for (int64_t row = args.skip; row < args.group_rows; row += kMomentRows) {
    tile(x + row * args.ldx, args.ldx, std::min(kMomentRows, args.group_rows - row), count, sums[0]);
    for (int kind = 0; kind < 3; ++kind)
      for (int64_t i = 0; i < count; ++i) totals[kind][i] += sums[kind][i];
  }
  for (int kind = 0; kind < 3; ++kind)
    std::copy_n(totals[kind], count, args.sums + (group * 3 + kind) * args.width + begin);
}

}  // namespace

Status channel_moments(const CpuContext& context, const ChannelMomentsArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  const ChannelMomentsTile tile = best_variant("channel_moments", kVariants, context.isa);
  if (tile == nullptr) return channel_moments_ref(args);
  const int64_t blocks = (args.width + kMomentChannels - 1) / kMomentChannels;
  const int64_t task_elements = args.group_rows * std::min(args.width, kMomentChannels);
  for_row_ranges(context, args.groups * blocks, task_elements, [&](int64_t first, int64_t last) {
    for (int64_t task = first; task < last; ++task) {
      const int64_t begin = task % blocks * kMomentChannels;
      sum_channels(args, tile, task / blocks, begin, std::min(kMomentChannels, args.width - begin));
    }
  });
  return Status::ok();
}

}  // namespace espalier
