// The inner loops of quantizing, for every ISA: the range of some weights, and their codes under a given scale.
// Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/isa.h"

namespace espalier {

constexpr int kEncodeTypes = 7;  // kCodeTypes of code_type.h

// Weights in cells of `span`, each under a scale of its own; the last cell may be shorter. w [count], scales and zeros
// [ceil(count / span)], zeros nullptr where all are 0. value = (code - zero) * scale; the same bytes on every ISA.
//   int8, int4   round-half-even(clamp(w / scale + zero)); scale 0 gives the code of 0
//   fp8          w / scale, to nearest even, saturating; zeros are not used (nor below)
//   nf4, fp4     bitsandbytes' thresholds over w * (1 / max(scale, 1e-38))
//   e2m1         w / scale to nearest, ties to the even code, saturating
// All weights are finite.
using EncodeFn = void (*)(const float* w, int64_t count, int64_t span, const float* scales, const float* zeros,
                          uint8_t* codes);

struct EncodeKernel {
  const char* name;
  // Of every cell: least and most of 0 and its weights. False when a value is NaN or infinite.
  bool (*ranges)(const float* w, int64_t count, int64_t span, float* low, float* high);
  EncodeFn encode[kEncodeTypes];  // by CodeType
};

extern const EncodeKernel encode_ref;
#if defined(__x86_64__)
extern const EncodeKernel encode_avx2;
extern const EncodeKernel encode_avx512;
#endif

}  // namespace espalier
