// The serial piece of kv_append. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// Part of one page and one kv head.
// k, v    [tokens, head_dim] f32, rows ldkv apart
// keys    [head_dim][page_tokens], first column `slot`; values [page_tokens][head_dim], first row `slot`
// dtype   0 f32, 1 f16, 2 bf16, 3 int8, 4 fp8 (the values of KvDType)
// The last two also have
// key_scales, value_scales  [page_tokens], first one `slot`
// key_scale, value_scale    fixed, or 0: from each row
struct KvAppendTile {
  const float* k;
  const float* v;
  int64_t ldkv;
  int64_t tokens;
  int64_t slot;
  int64_t page_tokens;
  int64_t head_dim;
  int32_t dtype;
  char* keys;
  char* values;
  float* key_scales;
  float* value_scales;
  float key_scale;
  float value_scale;
};

using KvAppendTileFn = void (*)(const KvAppendTile& tile);
void kv_append_tile_ref(const KvAppendTile& tile);
void kv_append_tile_avx2(const KvAppendTile& tile);

}  // namespace espalier
