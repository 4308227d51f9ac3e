// SPDX-License-Identifier: Apache-2.0
#include "kernels/swiglu/swiglu_tile.h"
#include "kernels/vector_avx512.h"

// after the vectors it is written in
#include "kernels/swiglu/swiglu_vector.h"

namespace espalier {

void swiglu_avx512(const float* gate, const float* up, float* out, int64_t n) { swiglu_row(gate, up, out, n); }

}  // namespace espalier
