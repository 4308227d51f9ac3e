// bf16: rows of f32 kept as bfloat16 and brought back.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// out [count] bf16 = x [count] f32, rounded to nearest even; NaN stays NaN
Status bf16_pack(const CpuContext& context, const float* x, uint16_t* out, int64_t count);
Status bf16_pack_ref(const float* x, uint16_t* out, int64_t count);

// out [count] f32 = x [count] bf16
Status bf16_unpack(const CpuContext& context, const uint16_t* x, float* out, int64_t count);
Status bf16_unpack_ref(const uint16_t* x, float* out, int64_t count);

}  // namespace espalier
