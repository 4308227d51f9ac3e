// Validation shared by gemm and gemm_ref.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/gemm/gemm.h"

namespace espalier {

// ERR_SHAPE, ERR_ARGUMENT.
Status check_gemm(const GemmArgs& args);

}  // namespace espalier
