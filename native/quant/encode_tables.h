// Thresholds of the 4-bit codes for the vector encoders. Plain data: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {
namespace {

// A value takes the code of how many of these it exceeds; the last is never exceeded.
alignas(64) constexpr float kNf4Limits[16] = {
    -0.8480964004993439f,  -0.6106329262256622f,  -0.4599952697753906f,   -0.33967943489551544f,
    -0.23460740596055984f, -0.13791173323988914f, -0.045525018125772476f, 0.03979014977812767f,
    0.1202552504837513f,   0.2035212516784668f,   0.2920137718319893f,    0.3893125355243683f,
    0.5016634166240692f,   0.6427869200706482f,   0.8614784181118011f,    __builtin_inff(),
};
// Of magnitudes: the place in ascending order, and the code of that place.
alignas(32) constexpr float kFp4Limits[8] = {0.00260417f, 0.0859375f, 0.20833333f, 0.29166667f,
                                             0.4166667f,  0.583333f,  0.8333333f,  __builtin_inff()};
alignas(32) constexpr int32_t kFp4PlaceCodes[8] = {0, 1, 6, 7, 4, 5, 2, 3};
// Ties go to the even code: where that is the upper one, the limit is the float before the midpoint.
alignas(32) constexpr float kE2M1Limits[8] = {0.25f, 0x1.7ffffep-1f, 1.25f, 0x1.bffffep+0f,
                                              2.5f,  0x1.bffffep+1f, 5.0f,  __builtin_inff()};

// Limits by even steps of x, no two of which meet in a step: the step is known from fma(x, factor, shift), whose low
// bits are its number, rounded to nearest; what is below it is known, and its own limit is compared with.
template <int kSteps>
struct LimitSteps {
  float factor, shift;
  alignas(64) float limit[kSteps];
  alignas(64) int32_t below[kSteps];
};

// `first` is the step of x = 0.
template <int kSteps, int kLimits>
constexpr LimitSteps<kSteps> limit_steps(const float (&limits)[kLimits], float factor, int first) {
  LimitSteps<kSteps> steps{factor, 0x1.8p23f + static_cast<float>(first), {}, {}};
  for (int step = 0; step < kSteps; ++step) {
    steps.limit[step] = __builtin_inff();
    for (int i = 0; i < kLimits - 1; ++i) {
      const double place = static_cast<double>(limits[i]) * static_cast<double>(factor) + first + 0.5;
      const int here = static_cast<int>(place);  // no limit lies between two steps
      if (here < step) ++steps.below[step];
      if (here == step) steps.limit[step] = limits[i];
    }
  }
  return steps;
}

constexpr LimitSteps<32> kNf4Steps = limit_steps<32>(kNf4Limits, 15.0f, 16);
constexpr LimitSteps<16> kFp4Steps = limit_steps<16>(kFp4Limits, 15.0f, 0);
constexpr LimitSteps<16> kE2M1Steps = limit_steps<16>(kE2M1Limits, 2.4f, 0);

}  // namespace
}  // namespace espalier
