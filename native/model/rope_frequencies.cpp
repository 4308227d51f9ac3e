// Linear: kaiokendev 2023. Dynamic NTK: "NTK-aware scaled RoPE", 2023. YaRN: Peng et al., arXiv 2309.00071, eq. 17-23.
// Llama 3: the smoothing published with Llama 3.1.
// SPDX-License-Identifier: Apache-2.0
#include "model/rope_frequencies.h"

#include <algorithm>
#include <cmath>

namespace espalier {
namespace {

constexpr double kTwoPi = 6.283185307179586476925;

double yarn_mscale(double factor, double mscale) { return factor <= 1.0 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0; }

double yarn_magnitude(const RopeSpec& rope) {
  if (rope.attention_factor > 0) return rope.attention_factor;
  if (rope.mscale > 0 && rope.mscale_all_dim > 0)
    return yarn_mscale(rope.factor, rope.mscale) / yarn_mscale(rope.factor, rope.mscale_all_dim);
  return yarn_mscale(rope.factor, 1.0);
}

void scale_llama3(const RopeSpec& rope, std::vector<double>& inverse) {
  const double original = static_cast<double>(rope.original_max_positions);
  const double low_wavelength = original / rope.low_freq_factor;
  const double high_wavelength = original / rope.high_freq_factor;
  for (double& f : inverse) {
    const double wavelength = kTwoPi / f;
    if (wavelength < high_wavelength) continue;
    if (wavelength > low_wavelength) {
      f /= rope.factor;
      continue;
    }
    const double smooth =
        (original / wavelength - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
    f = (1.0 - smooth) * f / rope.factor + smooth * f;
  }
}

void scale_yarn(const RopeSpec& rope, std::vector<double>& inverse) {
  const double dim = static_cast<double>(rope.rotary_dim);
  const double original = static_cast<double>(rope.original_max_positions);
  const auto correction_dim = [&](double rotations) {
    return dim * std::log(original / (rotations * kTwoPi)) / (2.0 * std::log(rope.theta));
  };
  double low = correction_dim(rope.beta_fast);
  double high = correction_dim(rope.beta_slow);
  if (rope.truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1.0);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < inverse.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    inverse[i] = inverse[i] / rope.factor * ramp + inverse[i] * (1.0 - ramp);
  }
}

}  // namespace

RopeFrequencies::RopeFrequencies(const ModelSpec& spec) : spec_(spec.rope), max_positions_(spec.max_positions) {
  if (spec_.original_max_positions <= 0) spec_.original_max_positions = spec.max_positions;
  if (spec_.type == RopeType::kYarn) magnitude_ = static_cast<float>(yarn_magnitude(spec_));
  inverse_ = inverse_at(0);
}

std::vector<float> RopeFrequencies::inverse_at(int64_t length) const {
  const double dim = static_cast<double>(spec_.rotary_dim);
  double theta = spec_.theta;
  if (depends_on_length(length)) {
    const double stretch = spec_.factor * static_cast<double>(length) / static_cast<double>(max_positions_);
    theta *= std::pow(stretch - (spec_.factor - 1.0), dim / (dim - 2.0));
  }
  std::vector<double> inverse(static_cast<size_t>(spec_.rotary_dim / 2));
  for (size_t i = 0; i < inverse.size(); ++i) inverse[i] = std::pow(theta, -2.0 * static_cast<double>(i) / dim);
  if (spec_.type == RopeType::kLinear)
    for (double& f : inverse) f /= spec_.factor;
  if (spec_.type == RopeType::kLlama3) scale_llama3(spec_, inverse);
  if (spec_.type == RopeType::kYarn) scale_yarn(spec_, inverse);
  return std::vector<float>(inverse.begin(), inverse.end());
}

void RopeFrequencies::fill(int64_t position, int64_t count, int64_t length, float* cos, float* sin) const {
  const std::vector<float>* inverse = &inverse_;
  std::vector<float> stretched;
  if (depends_on_length(length)) {
    stretched = inverse_at(length);
    inverse = &stretched;
  }
  const int64_t half_size = half();
  for (int64_t token = 0; token < count; ++token)
    for (int64_t i = 0; i < half_size; ++i) {
      // The product is rounded to f32 first, as transformers computes it.
      const float angle = (*inverse)[static_cast<size_t>(i)] * static_cast<float>(position + token);
      cos[token * half_size + i] = static_cast<float>(std::cos(static_cast<double>(angle))) * magnitude_;
      sin[token * half_size + i] = static_cast<float>(std::sin(static_cast<double>(angle))) * magnitude_;
    }
}

}  // namespace espalier
