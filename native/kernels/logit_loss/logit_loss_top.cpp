// SPDX-License-Identifier: Apache-2.0
#include "kernels/logit_loss/logit_loss_top.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace espalier {
namespace {

// Groups for each value wanted: more make the bound sharper, fewer make it cheaper.
constexpr int64_t kGroupsPerValue = 4;

bool better(const Candidate& a, const Candidate& b) { return a.value > b.value || (a.value == b.value && a.id < b.id); }

// A bound that at least `count` values reach, unless NaN keeps them from it: the count-th largest among the maxima of
// groups of values. Group g holds every value whose place is g modulo the number of groups.
float lower_bound(const float* values, int64_t n, int64_t count, float* maxima) {
  const int64_t groups = kGroupsPerValue * count;
  if (2 * groups > n) return -std::numeric_limits<float>::infinity();
  std::fill(maxima, maxima + groups, -std::numeric_limits<float>::infinity());
  for (int64_t begin = 0; begin < n; begin += groups) {
    const int64_t width = n - begin < groups ? n - begin : groups;
    for (int64_t i = 0; i < width; ++i) maxima[i] = values[begin + i] > maxima[i] ? values[begin + i] : maxima[i];
  }
  std::nth_element(maxima, maxima + count - 1, maxima + groups, std::greater<float>());
  return maxima[count - 1];
}

}  // namespace

void select_top_set(const float* values, int64_t n, int64_t count, float* maxima, Candidate* candidates) {
  const float bound = lower_bound(values, n, count, maxima);
  int64_t found = 0;
  for (int64_t i = 0; i < n; ++i) {
    candidates[found] = {values[i], static_cast<int32_t>(i)};  // found <= i
    found += values[i] >= bound;
  }
  if (found > count) return std::nth_element(candidates, candidates + count - 1, candidates + found, better);
  for (int64_t i = 0; found < count && i < n; ++i)
    if (values[i] != values[i]) candidates[found++] = {values[i], static_cast<int32_t>(i)};
}

}  // namespace espalier
