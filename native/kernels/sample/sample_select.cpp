// SPDX-License-Identifier: Apache-2.0
#include "kernels/sample/sample_select.h"

#include <algorithm>
#include <functional>

namespace espalier {
namespace {

// Up to here a heap of the best is smaller work than partitioning a copy of all values.
constexpr int64_t kHeapLimit = 256;

bool better(const Candidate& a, const Candidate& b) { return a.value > b.value || (a.value == b.value && a.id < b.id); }
bool worse(const Candidate& a, const Candidate& b) { return better(b, a); }

}  // namespace

void select_top(const float* values, int64_t n, int64_t count, Candidate* out) {
  if (count <= 0) return;
  int64_t held = 0;  // out is a heap with the worst of the best in front
  for (int64_t i = 0; i < n; ++i) {
    const Candidate candidate = {values[i], static_cast<int32_t>(i)};
    if (held == count) {
      if (!better(candidate, out[0])) continue;
      std::pop_heap(out, out + held--, better);
    }
    out[held++] = candidate;
    std::push_heap(out, out + held, better);
  }
  std::sort_heap(out, out + held, better);
}

float kth_largest(const float* values, int64_t n, int64_t count, float* scratch) {
  if (count > kHeapLimit) {
    std::copy(values, values + n, scratch);
    std::nth_element(scratch, scratch + count - 1, scratch + n, std::greater<float>());
    return scratch[count - 1];
  }
  std::copy(values, values + count, scratch);
  std::make_heap(scratch, scratch + count, std::greater<float>());
  for (int64_t i = count; i < n; ++i) {
    if (values[i] <= scratch[0]) continue;
    std::pop_heap(scratch, scratch + count, std::greater<float>());
    scratch[count - 1] = values[i];
    std::push_heap(scratch, scratch + count, std::greater<float>());
  }
  return scratch[0];
}

int64_t select_nucleus(Candidate* candidates, int64_t n, double wanted) {
  std::make_heap(candidates, candidates + n, worse);
  double sum = 0;
  int64_t kept = 0;
  while (kept < n && (kept == 0 || sum < wanted)) {
    std::pop_heap(candidates, candidates + n - kept, worse);
    ++kept;
    sum += candidates[n - kept].value;
  }
  return kept;
}

}  // namespace espalier
