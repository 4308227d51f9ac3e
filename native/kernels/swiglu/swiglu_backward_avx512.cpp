// SPDX-License-Identifier: Apache-2.0
#include "kernels/swiglu/swiglu_backward_tile.h"
#include "kernels/vector_avx512.h"

// after the vectors it is written in
#include "kernels/swiglu/swiglu_backward_vector.h"

namespace espalier {

void swiglu_backward_avx512(const float* gate, const float* up, const float* dout, float* dgate, float* dup, float* out,
                            int64_t n) {
  swiglu_backward_row(gate, up, dout, dgate, dup, out, n);
}

}  // namespace espalier
