// SPDX-License-Identifier: Apache-2.0
#include "quant/ggml_fit.h"

#include <algorithm>
#include <cmath>

namespace espalier {
namespace {

constexpr int kLanes = 8;  // partial sums: they vectorize, and their order is fixed

// Sums over a group, in float as they need no more.
struct Sums {
  float w = 0, wx = 0, wq = 0, wqq = 0, wqx = 0;
};

float total(const float* lanes) {
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

Sums sums_of(const float* values, const float* weights, const float* codes, int count) {
  float w[kLanes] = {}, wx[kLanes] = {}, wq[kLanes] = {}, wqq[kLanes] = {}, wqx[kLanes] = {};
  for (int i = 0; i < count; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      const float weight = weights[i + lane], code = codes[i + lane], value = values[i + lane];
      const float weighted = weight * code;
      w[lane] += weight;
      wx[lane] += weight * value;
      wq[lane] += weighted;
      wqq[lane] += weighted * code;
      wqx[lane] += weighted * value;
    }
  return {total(w), total(wx), total(wq), total(wqq), total(wqx)};
}

float error_of(const float* values, const float* weights, const float* codes, const AffineFit& fit) {
  float sums[kLanes] = {};
  for (int i = 0; i < kMaxGroup; i += kLanes)
    for (int lane = 0; lane < kLanes; ++lane) {
      const float difference = fit.step * codes[i + lane] - fit.offset - values[i + lane];
      sums[lane] += weights[i + lane] * difference * difference;
    }
  return total(sums);
}

// The step and offset with the least error for codes that stay. False when the codes are all alike.
bool solve(const Sums& sums, AffineFit* fit) {
  const float determinant = sums.w * sums.wqq - sums.wq * sums.wq;
  if (!(determinant > 0)) return false;
  fit->step = (sums.w * sums.wqx - sums.wq * sums.wx) / determinant;
  fit->offset = -(sums.wqq * sums.wx - sums.wq * sums.wqx) / determinant;
  if (fit->offset < 0) *fit = {sums.wqx / sums.wqq, 0};
  return true;
}

}  // namespace

float round_within(float value, float low, float high) {
  constexpr float kMagic = 12582912.0f;  // 1.5 * 2^23: an ulp of one
  const float shifted = std::min(std::max(value, low), high) + kMagic;
  return shifted - kMagic;
}

AffineFit fit_affine(const float* values, const AffineSearch& search) {
  const auto [lowest, highest] = std::minmax_element(values, values + kMaxGroup);
  const float low = std::min(*lowest, 0.0f), span = *highest - low;
  const float top = static_cast<float>(search.highest);
  if (!(span > 0) || !std::isfinite((top + 1) / span)) return {0, -low};
  float squares = 0;
  for (int i = 0; i < kMaxGroup; ++i) squares += values[i] * values[i];
  const float level = std::sqrt(squares / kMaxGroup);
  float weights[kMaxGroup], codes[kMaxGroup];
  for (int i = 0; i < kMaxGroup; ++i) weights[i] = level + std::fabs(values[i]);
  AffineFit best = {span / top, -low};
  // From the best offset so far: the lowest value need not be met exactly.
  const auto spread = [&](float steps) {
    const float inverse = steps / (*highest + best.offset);
    for (int i = 0; i < kMaxGroup; ++i) codes[i] = round_within(inverse * (values[i] + best.offset), 0, top);
  };
  spread(top);
  float best_error = error_of(values, weights, codes, best);
  for (int trial = 0; trial <= search.trials; ++trial) {
    spread(top + search.first + 0.1f * static_cast<float>(trial));
    AffineFit fit;
    if (!solve(sums_of(values, weights, codes, kMaxGroup), &fit)) continue;
    const float error = error_of(values, weights, codes, fit);
    if (error < best_error) {
      best_error = error;
      best = fit;
    }
  }
  return best;
}

float fit_symmetric(const float* values, int count, int half) {
  float extreme = 0;
  for (int i = 0; i < count; ++i)
    if (std::fabs(values[i]) > std::fabs(extreme)) extreme = values[i];
  if (std::fabs(extreme) < 1e-15f) return 0;
  // In units of the extreme, so that no power of a value over- or underflows.
  float units[kMaxGroup], weights[kMaxGroup], codes[kMaxGroup];
  for (int i = 0; i < count; ++i) {
    units[i] = values[i] / extreme;
    weights[i] = units[i] * units[i];
  }
  const float top = static_cast<float>(half);
  float best_step = 0, best_gain = -1;
  for (int trial = 0; trial <= 18; ++trial) {
    // The plain spread first, 0, -9 ... -1, 1 ... 9: it meets the extreme exactly, and wins among equals.
    const int shift = trial == 0 ? 0 : trial <= 9 ? trial - 10 : trial - 9;
    const float steps = -(top + 0.1f * static_cast<float>(shift));
    for (int i = 0; i < count; ++i) codes[i] = round_within(steps * units[i], -top, top - 1);
    const Sums sums = sums_of(units, weights, codes, count);
    // With the best step for these codes the error is the squares' sum less this gain.
    const float gain = sums.wqx * sums.wqx / sums.wqq;
    if (sums.wqq > 0 && gain > best_gain) {
      best_gain = gain;
      best_step = sums.wqx / sums.wqq;
    }
  }
  return best_step * extreme;
}

}  // namespace espalier
