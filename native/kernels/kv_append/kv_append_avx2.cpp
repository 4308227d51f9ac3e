// Blocks of 8 tokens x 8 dims are transposed in registers; the edges go one element at a time.
// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstring>

#include "kernels/kv_append/kv_append_tile.h"
#include "kernels/simd_x86.h"

namespace espalier {
namespace {

constexpr int32_t kF32 = 0, kF16 = 1;

// bf16 bits in the low half of each lane, rounded to nearest even; NaN stays NaN.
__m256i bf16_bits(__m256 v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i high = _mm256_srli_epi32(bits, 16);
  const __m256i odd = _mm256_and_si256(high, _mm256_set1_epi32(1));
  const __m256i rounded =
      _mm256_srli_epi32(_mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff))), 16);
  const __m256i quiet = _mm256_or_si256(high, _mm256_set1_epi32(0x40));
  const __m256 is_nan = _mm256_cmp_ps(v, v, _CMP_UNORD_Q);
  return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(is_nan));
}

__m128i f16_bits(__m256 v) { return _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

// Eight elements of the cache at element `index` of `base`.
void put(char* base, int64_t index, int32_t dtype, __m256 v) {
  if (dtype == kF32) {
    _mm256_storeu_ps(reinterpret_cast<float*>(base) + index, v);
    return;
  }
  __m128i packed = f16_bits(v);
  if (dtype != kF16) {
    const __m256i halves = bf16_bits(v);
    packed = _mm_packus_epi32(_mm256_castsi256_si128(halves), _mm256_extracti128_si256(halves, 1));
  }
  _mm_storeu_si128(reinterpret_cast<__m128i*>(base + 2 * index), packed);
}

void put_one(char* base, int64_t index, int32_t dtype, float value) {
  if (dtype == kF32) {
    std::memcpy(base + 4 * index, &value, 4);
    return;
  }
  const __m256 v = _mm256_set1_ps(value);
  const int bits =
      dtype == kF16 ? _mm_cvtsi128_si32(f16_bits(v)) : _mm_cvtsi128_si32(_mm256_castsi256_si128(bf16_bits(v)));
  const uint16_t half = static_cast<uint16_t>(bits);
  std::memcpy(base + 2 * index, &half, 2);
}

void transpose(__m256 r[8]) {
  __m256 t[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
    t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
  }
  for (int i = 0; i < 8; ++i) r[i] = t[i];
}

void append_keys(const KvAppendTile& tile) {
  int64_t token = 0;
  for (; token + 8 <= tile.tokens; token += 8) {
    const float* k = tile.k + token * tile.ldkv;
    const int64_t slot = tile.slot + token;
    int64_t d = 0;
    for (; d + 8 <= tile.head_dim; d += 8) {
      __m256 rows[8];
      for (int i = 0; i < 8; ++i) rows[i] = _mm256_loadu_ps(k + i * tile.ldkv + d);
      transpose(rows);
      for (int i = 0; i < 8; ++i) put(tile.keys, (d + i) * tile.page_tokens + slot, tile.dtype, rows[i]);
    }
    for (; d < tile.head_dim; ++d)
      for (int64_t i = 0; i < 8; ++i)
        put_one(tile.keys, d * tile.page_tokens + slot + i, tile.dtype, k[i * tile.ldkv + d]);
  }
  for (; token < tile.tokens; ++token)
    for (int64_t d = 0; d < tile.head_dim; ++d)
      put_one(tile.keys, d * tile.page_tokens + tile.slot + token, tile.dtype, tile.k[token * tile.ldkv + d]);
}

void append_values(const KvAppendTile& tile) {
  for (int64_t token = 0; token < tile.tokens; ++token) {
    const float* v = tile.v + token * tile.ldkv;
    const int64_t row = (tile.slot + token) * tile.head_dim;
    int64_t d = 0;
    for (; d + 8 <= tile.head_dim; d += 8) put(tile.values, row + d, tile.dtype, _mm256_loadu_ps(v + d));
    for (; d < tile.head_dim; ++d) put_one(tile.values, row + d, tile.dtype, v[d]);
  }
}

}  // namespace

void kv_append_tile_avx2(const KvAppendTile& tile) {
  append_keys(tile);
  append_values(tile);
}

}  // namespace espalier
