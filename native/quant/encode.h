// The inner loops of quantizing, for every ISA: the range of some weights, and their codes under a given scale.
// Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/isa.h"

namespace espalier {

constexpr int kEncodeTypes = 7;  // kCodeTypes of code_type.h

// Codes of w [count], all finite, under value = (code - zero) * scale. The same bytes on every ISA.
//   int8, int4   round-half-even(clamp(w / scale + zero)); scale 0 gives the code of 0
//   fp8          w / scale, to nearest even, saturating; zero is not used (nor below)
//   nf4, fp4     bitsandbytes' thresholds over w * (1 / max(scale, 1e-38))
//   e2m1         w / scale to nearest, ties to the even code, saturating
using EncodeFn = void (*)(const float* w, int64_t count, float scale, float zero, uint8_t* codes);

struct EncodeKernel {
  const char* name;
  // least and most of 0 and w [count]; false when a value is NaN or infinite
  bool (*range)(const float* w, int64_t count, float* low, float* high);
  EncodeFn encode[kEncodeTypes];  // by CodeType
};

extern const EncodeKernel encode_ref;
#if defined(__x86_64__)
extern const EncodeKernel encode_avx2;
extern const EncodeKernel encode_avx512;
#endif

}  // namespace espalier
