// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <limits>

#include "core/dtype.h"
#include "kernels/kv_append/kv_append_tile.h"
#include "kernels/kv_append/kv_dtype.h"
#include "quant/fp8.h"

namespace espalier {
namespace {

// Scale of one row; 0 when all its codes are 0.
float scale_of_row(const float* row, int64_t width, float fixed, float largest_code) {
  float absmax = 0;
  for (int64_t d = 0; d < width; ++d) {
    if (!std::isfinite(row[d])) return std::numeric_limits<float>::quiet_NaN();
    absmax = std::max(absmax, std::fabs(row[d]));
  }
  if (fixed != 0) return fixed;
  const float scale = absmax / largest_code;
  return scale < std::numeric_limits<float>::min() ? 0 : scale;
}

uint8_t code_of(KvDType dtype, float value, float scale) {
  if (!(scale > 0)) return 0;
  const float ratio = value / scale;
  if (dtype == KvDType::kFp8) return f32_to_fp8_e4m3(ratio);
  return static_cast<uint8_t>(static_cast<int8_t>(std::nearbyint(std::clamp(ratio, -127.0f, 127.0f))));
}

void append_codes(const KvAppendTile& tile, const KvDTypeInfo& info) {
  for (int64_t token = 0; token < tile.tokens; ++token) {
    const float* k = tile.k + token * tile.ldkv;
    const float* v = tile.v + token * tile.ldkv;
    const int64_t slot = tile.slot + token;
    const float key_scale = scale_of_row(k, tile.head_dim, tile.key_scale, info.largest_code);
    const float value_scale = scale_of_row(v, tile.head_dim, tile.value_scale, info.largest_code);
    tile.key_scales[slot] = key_scale;
    tile.value_scales[slot] = value_scale;
    for (int64_t d = 0; d < tile.head_dim; ++d) {
      tile.keys[d * tile.page_tokens + slot] = static_cast<char>(code_of(info.dtype, k[d], key_scale));
      tile.values[slot * tile.head_dim + d] = static_cast<char>(code_of(info.dtype, v[d], value_scale));
    }
  }
}

}  // namespace

void kv_append_tile_ref(const KvAppendTile& tile) {
  const KvDTypeInfo& info = *kv_dtype_info(static_cast<KvDType>(tile.dtype));
  if (info.largest_code != 0) return append_codes(tile, info);
  for (int64_t token = 0; token < tile.tokens; ++token) {
    const float* k = tile.k + token * tile.ldkv;
    const float* v = tile.v + token * tile.ldkv;
    const int64_t slot = tile.slot + token;
    for (int64_t d = 0; d < tile.head_dim; ++d) {
      convert_from_f32(info.element, k + d, tile.keys + (d * tile.page_tokens + slot) * info.size_bytes, 1);
      convert_from_f32(info.element, v + d, tile.values + (slot * tile.head_dim + d) * info.size_bytes, 1);
    }
  }
}

}  // namespace espalier
