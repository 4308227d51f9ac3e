// SPDX-License-Identifier: Apache-2.0
#include "kernels/rms_norm/rms_norm_backward_tile.h"
#include "kernels/vector_avx2.h"

// after the vectors it is written in
#include "kernels/rms_norm/rms_norm_backward_vector.h"

namespace espalier {

void rms_norm_backward_avx2(const RmsNormBackwardRows& rows) { rms_norm_backward_rows(rows); }

}  // namespace espalier
