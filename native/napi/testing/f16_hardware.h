// The CPU's own f32 -> f16 conversion, to hold the scalar one against. Plain C types only.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier::testing {

// count is a multiple of 8
void f32_to_f16_hardware_avx2(const float* values, uint16_t* out, int64_t count);

}  // namespace espalier::testing
