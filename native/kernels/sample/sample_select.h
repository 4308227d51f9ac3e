// Selection of the largest values without sorting all of them.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

struct Candidate {
  float value;
  int32_t id;
};

// The `count` largest of values [n] in out, best first; equal values by ascending id. count <= n.
void select_top(const float* values, int64_t n, int64_t count, Candidate* out);

// The count-th largest of values [n], 1 <= count <= n. scratch [n].
float kth_largest(const float* values, int64_t n, int64_t count, float* scratch);

// Moves the smallest set of the largest candidates whose values add up to at least `wanted` (at least one) to the end
// of the array, largest last, and returns how many they are.
int64_t select_nucleus(Candidate* candidates, int64_t n, double wanted);

}  // namespace espalier
