// channel_moments in terms of Vector; include vector_<isa>.h first.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/channel_moments/channel_moments_tile.h"

namespace espalier {
namespace {

// Up to kVectors vectors of channels: 3 sums each stay in registers over all rows.
template <int kVectors>
inline void moments_of_columns(const float* x, int64_t ldx, int64_t rows, int64_t last_lanes, float* sums) {
  Vector absolute[kVectors], plain[kVectors], squares[kVectors];
  for (int i = 0; i < kVectors; ++i) absolute[i] = plain[i] = squares[i] = zeros();
  for (int64_t row = 0; row < rows; ++row, x += ldx)
    for (int i = 0; i < kVectors; ++i) {
      const bool whole = i + 1 < kVectors || last_lanes == kLanes;
      const Vector v = whole ? load(x + i * kLanes) : load_first(x + i * kLanes, last_lanes);
      absolute[i] = add(absolute[i], maximum(v, subtract(zeros(), v)));
      plain[i] = add(plain[i], v);
      squares[i] = multiply_add(v, v, squares[i]);
    }
  for (int i = 0; i < kVectors; ++i) {
    store(sums + i * kLanes, absolute[i]);
    store(sums + kMomentChannels + i * kLanes, plain[i]);
    store(sums + 2 * kMomentChannels + i * kLanes, squares[i]);
  }
}

inline void moments_tile(const float* x, int64_t ldx, int64_t rows, int64_t channels, float* sums) {
  int64_t i = 0;
  for (; i + 4 * kLanes <= channels; i += 4 * kLanes) moments_of_columns<4>(x + i, ldx, rows, kLanes, sums + i);
  for (; i < channels; i += kLanes) {
    const int64_t lanes = channels - i < kLanes ? channels - i : kLanes;
    moments_of_columns<1>(x + i, ldx, rows, lanes, sums + i);
  }
}

}  // namespace
}  // namespace espalier
