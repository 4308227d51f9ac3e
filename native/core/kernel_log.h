// With ESPALIER_LOG=kernels, says on standard error which variant each operator runs: one line for each, when it is
// first picked.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "core/isa.h"

namespace espalier {

// Whether anyone wants to know; looks at the environment once.
bool kernel_log_enabled();

// `op` and `name` are literals: they are kept.
void log_kernel(const char* op, Isa picked);  // "rms_norm", kAvx512
void log_kernel(const char* name);            // "matmul_f32_int8_avx512"

}  // namespace espalier
