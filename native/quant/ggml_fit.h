// The searches behind the K types: the step (and offset) of a group of values that round to codes with the least
// weighted square error.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {

constexpr int kMaxGroup = 32;

// value ~ step * code - offset; both >= 0, codes 0 ... highest
struct AffineFit {
  float step, offset;
};

// Trial number i of `trials` + 1 spreads the values over highest + first + i * 0.1 steps; each is then refined by least
// squares with the weights root mean square + |value|, and the best is kept.
struct AffineSearch {
  int highest;
  float first;
  int trials;
};

// values [kMaxGroup]
AffineFit fit_affine(const float* values, const AffineSearch& search);

// value ~ step * code, codes -half ... half - 1; weights value^2. values [count], count a multiple of 8, up to
// kMaxGroup. 0 when all values are (as good as) zero.
float fit_symmetric(const float* values, int count, int half);

// Rounds to the nearest whole number, ties to even, within [low, high].
float round_within(float value, float low, float high);

}  // namespace espalier
