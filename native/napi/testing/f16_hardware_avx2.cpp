// SPDX-License-Identifier: Apache-2.0
#include "napi/testing/f16_hardware.h"

#include "kernels/simd_x86.h"

namespace espalier::testing {

void f32_to_f16_hardware_avx2(const float* values, uint16_t* out, int64_t count) {
  for (int64_t i = 0; i < count; i += 8)
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out + i),
                     _mm256_cvtps_ph(_mm256_loadu_ps(values + i), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

}  // namespace espalier::testing
