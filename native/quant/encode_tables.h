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

}  // namespace
}  // namespace espalier
