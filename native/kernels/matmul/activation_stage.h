// The scalar activation stages; ISA files bring faster ones with the same results, bit for bit.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/matmul/linear_kernel.h"

namespace espalier {

// bf16 formats: x rounded to bf16 (nearest even), kept as f32.
extern const ActivationStage stage_bf16_as_f32_ref;
// int8 formats, per token: scale = absmax / 127, q = round-half-even(x * (127 / absmax)). A row of zeros (or below
// kInt8TinyAbsmax, where the reciprocal overflows) has scale 0; a row with NaN or Inf has scale NaN and q 0, so that
// the damage shows in the result.
extern const ActivationStage stage_int8_ref;

constexpr float kInt8TinyAbsmax = 1e-35f;

}  // namespace espalier
