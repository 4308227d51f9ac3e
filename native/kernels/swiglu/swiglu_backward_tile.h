// The serial piece of swiglu_backward. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// All [n]; dgate, dup may alias gate, up; out may alias dout and may be nullptr
using SwigluBackwardRowFn = void (*)(const float* gate, const float* up, const float* dout, float* dgate, float* dup,
                                     float* out, int64_t n);
void swiglu_backward_avx2(const float* gate, const float* up, const float* dout, float* dgate, float* dup, float* out,
                          int64_t n);
void swiglu_backward_avx512(const float* gate, const float* up, const float* dout, float* dgate, float* dup, float* out,
                            int64_t n);

}  // namespace espalier
