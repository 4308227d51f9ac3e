// SPDX-License-Identifier: Apache-2.0
#include "core/dtype.h"
#include "kernels/kv_append/kv_append_tile.h"

namespace espalier {

void kv_append_tile_ref(const KvAppendTile& tile) {
  const DType dtype = static_cast<DType>(tile.dtype);
  const int64_t size = static_cast<int64_t>(dtype_size(dtype));
  for (int64_t token = 0; token < tile.tokens; ++token) {
    const float* k = tile.k + token * tile.ldkv;
    const float* v = tile.v + token * tile.ldkv;
    const int64_t slot = tile.slot + token;
    for (int64_t d = 0; d < tile.head_dim; ++d) {
      convert_from_f32(dtype, k + d, tile.keys + (d * tile.page_tokens + slot) * size, 1);
      convert_from_f32(dtype, v + d, tile.values + (slot * tile.head_dim + d) * size, 1);
    }
  }
}

}  // namespace espalier
