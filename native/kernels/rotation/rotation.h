// rotation: x R for a fixed orthogonal R that spreads outlier channels over all of them, so that a row quantizes well.
// R = diag(signs) (H / sqrt(p) ⊗ D): H the Walsh-Hadamard matrix of the largest power of two p that divides the width,
// D the orthonormal DCT-II of the odd rest. Sources: QuaRot (Ashkboos et al., arXiv 2404.00456, section 4).
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// The constants of R for one width. The signs depend on the width alone, so that an engine's reader and writer agree.
class Rotation {
 public:
  explicit Rotation(int64_t width);

  int64_t width() const { return power_ * odd_; }
  // row [width] <- row R, or row Rᵀ. scratch [width].
  void apply(float* row, float* scratch) const;
  void apply_inverse(float* row, float* scratch) const;

 private:
  void hadamard(float* row) const;
  void mix_odd(float* row, float* scratch, bool transpose) const;

  int64_t power_;
  int64_t odd_;
  std::vector<float> signs_;  // [width]
  std::vector<float> dct_;    // [odd][odd]; empty when odd is 1
};

// x, out [tokens, width] f32, rows ldx / ldo apart; out may alias x
struct RotationArgs {
  const Rotation* rotation;
  const float* x;
  int64_t ldx;
  float* out;
  int64_t ldo;
  int64_t tokens;
  bool inverse;
};
Status rotation(const CpuContext& context, const RotationArgs& args);
// float64, by the definition of R.
Status rotation_ref(const RotationArgs& args);

}  // namespace espalier
