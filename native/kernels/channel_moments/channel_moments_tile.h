// The ISA-specific part of channel_moments. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

constexpr int64_t kMomentRows = 64;       // at most so many rows are summed in float32
constexpr int64_t kMomentChannels = 256;  // at most so many channels at a time

// sums [3, kMomentChannels]: Σ |x|, Σ x, Σ x² of rows x channels values
using ChannelMomentsTile = void (*)(const float* x, int64_t ldx, int64_t rows, int64_t channels, float* sums);

void channel_moments_tile_avx2(const float* x, int64_t ldx, int64_t rows, int64_t channels, float* sums);
void channel_moments_tile_avx512(const float* x, int64_t ldx, int64_t rows, int64_t channels, float* sums);

}  // namespace espalier
