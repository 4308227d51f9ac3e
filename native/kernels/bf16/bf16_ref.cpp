// SPDX-License-Identifier: Apache-2.0
#include "core/dtype.h"
#include "kernels/bf16/bf16.h"

namespace espalier {

Status bf16_pack_ref(const float* x, uint16_t* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = f32_to_bf16(x[i]);
  return Status::ok();
}

Status bf16_unpack_ref(const uint16_t* x, float* out, int64_t count) {
  for (int64_t i = 0; i < count; ++i) out[i] = bf16_to_f32(x[i]);
  return Status::ok();
}

}  // namespace espalier
