// Blocks of 8 tokens x 8 dims are transposed in registers; the edges go one element, or one row, at a time. Codes come
// out as the reference's: every step is one IEEE operation, or exact.
// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstring>

#include "kernels/kv_append/kv_append_tile.h"
#include "kernels/simd_x86.h"

namespace espalier {
namespace {

constexpr int32_t kF32 = 0, kF16 = 1, kInt8 = 3, kFp8 = 4;

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

// ---- int8 and fp8

alignas(32) constexpr int32_t kFirstLanes[16] = {-1, -1, -1, -1, -1, -1, -1, -1, 0, 0, 0, 0, 0, 0, 0, 0};

__m256 load_up_to(const float* p, int64_t n) {
  if (n >= 8) return _mm256_loadu_ps(p);
  return _mm256_maskload_ps(p, _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirstLanes + 8 - n)));
}

// NaN when the row holds anything that is not finite; 0 when the scale were not a normal number.
float scale_of_row(const float* row, int64_t width, float fixed, int32_t dtype) {
  __m256i largest = _mm256_setzero_si256();  // magnitudes order as integers, infinity and NaN last
  for (int64_t d = 0; d < width; d += 8) {
    const __m256i bits = _mm256_castps_si256(load_up_to(row + d, width - d));
    largest = _mm256_max_epi32(largest, _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff)));
  }
  __m128i half = _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1));
  const int32_t magnitude = _mm_cvtsi128_si32(half);
  if (magnitude >= 0x7f800000) return __builtin_nanf("");
  if (fixed != 0) return fixed;
  const float scale = _mm_cvtss_f32(_mm_castsi128_ps(half)) / (dtype == kInt8 ? 127.0f : 448.0f);
  return scale < __FLT_MIN__ ? 0 : scale;
}

// e4m3 codes in the low byte of each lane: nearest even, saturating; no lane is NaN. quant/fp8.cpp has the scalar twin.
__m256i e4m3_codes(__m256 v) {
  const __m256i bits = _mm256_castps_si256(v);
  const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff));
  const __m256i rebased = _mm256_sub_epi32(magnitude, _mm256_set1_epi32(120 << 23));
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(rebased, 20), _mm256_set1_epi32(1));
  const __m256i rounded = _mm256_add_epi32(rebased, _mm256_add_epi32(odd, _mm256_set1_epi32((1 << 19) - 1)));
  const __m256i normal = _mm256_min_epi32(_mm256_srai_epi32(rounded, 20), _mm256_set1_epi32(0x7e));
  // Below 2^-6: 2^14 has the ulp 2^-9 of these codes.
  const __m256i magic = _mm256_set1_epi32(141 << 23);
  const __m256 sum = _mm256_add_ps(_mm256_castsi256_ps(magnitude), _mm256_castsi256_ps(magic));
  const __m256i subnormal = _mm256_sub_epi32(_mm256_castps_si256(sum), magic);
  const __m256i is_normal = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32((121 << 23) - 1));
  const __m256i sign = _mm256_and_si256(_mm256_srli_epi32(bits, 24), _mm256_set1_epi32(0x80));
  return _mm256_or_si256(sign, _mm256_blendv_epi8(subnormal, normal, is_normal));
}

__m256i int8_codes(__m256 v) {
  const __m256 clamped = _mm256_max_ps(_mm256_min_ps(v, _mm256_set1_ps(127)), _mm256_set1_ps(-127));
  return _mm256_and_si256(_mm256_cvtps_epi32(clamped), _mm256_set1_epi32(0xff));
}

// Eight codes, lane 0 in the lowest byte. Lanes whose scale is 0 or NaN get the code 0.
uint64_t codes_of(__m256 v, __m256 scales, int32_t dtype) {
  const __m256 used = _mm256_cmp_ps(scales, _mm256_setzero_ps(), _CMP_GT_OQ);
  const __m256 ratio = _mm256_and_ps(_mm256_div_ps(v, scales), used);
  const __m256i codes = dtype == kInt8 ? int8_codes(ratio) : e4m3_codes(ratio);
  const __m128i halves = _mm_packus_epi32(_mm256_castsi256_si128(codes), _mm256_extracti128_si256(codes, 1));
  return static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_packus_epi16(halves, halves)));
}

// Keys of `tokens` <= 8 tokens with these scales, from `slot` on.
void append_key_codes(const KvAppendTile& tile, const float* k, int64_t tokens, int64_t slot, const float* scales) {
  const int64_t page = tile.page_tokens;
  if (tokens == 8) {
    const __m256 all_scales = _mm256_loadu_ps(scales);
    for (int64_t d = 0; d < tile.head_dim; d += 8) {
      const int64_t dims = tile.head_dim - d < 8 ? tile.head_dim - d : 8;
      __m256 rows[8];
      for (int i = 0; i < 8; ++i) rows[i] = load_up_to(k + i * tile.ldkv + d, dims);
      transpose(rows);
      for (int64_t i = 0; i < dims; ++i) {
        const uint64_t codes = codes_of(rows[i], all_scales, tile.dtype);
        std::memcpy(tile.keys + (d + i) * page + slot, &codes, 8);
      }
    }
    return;
  }
  for (int64_t token = 0; token < tokens; ++token) {
    const __m256 scale = _mm256_set1_ps(scales[token]);
    for (int64_t d = 0; d < tile.head_dim; d += 8) {
      const int64_t dims = tile.head_dim - d < 8 ? tile.head_dim - d : 8;
      uint64_t codes = codes_of(load_up_to(k + token * tile.ldkv + d, dims), scale, tile.dtype);
      for (int64_t i = 0; i < dims; ++i, codes >>= 8)
        tile.keys[(d + i) * page + slot + token] = static_cast<char>(codes & 0xff);
    }
  }
}

void append_value_codes(const KvAppendTile& tile, int64_t token, float scale) {
  const float* v = tile.v + token * tile.ldkv;
  char* row = tile.values + (tile.slot + token) * tile.head_dim;
  for (int64_t d = 0; d < tile.head_dim; d += 8) {
    const int64_t dims = tile.head_dim - d < 8 ? tile.head_dim - d : 8;
    const uint64_t codes = codes_of(load_up_to(v + d, dims), _mm256_set1_ps(scale), tile.dtype);
    std::memcpy(row + d, &codes, static_cast<size_t>(dims));
  }
}

void append_codes(const KvAppendTile& tile) {
  for (int64_t token = 0; token < tile.tokens; ++token) {
    const int64_t slot = tile.slot + token;
    tile.key_scales[slot] = scale_of_row(tile.k + token * tile.ldkv, tile.head_dim, tile.key_scale, tile.dtype);
    tile.value_scales[slot] = scale_of_row(tile.v + token * tile.ldkv, tile.head_dim, tile.value_scale, tile.dtype);
    append_value_codes(tile, token, tile.value_scales[slot]);
  }
  for (int64_t token = 0; token < tile.tokens; token += 8) {
    const int64_t tokens = tile.tokens - token < 8 ? tile.tokens - token : 8;
    const int64_t slot = tile.slot + token;
    append_key_codes(tile, tile.k + token * tile.ldkv, tokens, slot, tile.key_scales + slot);
  }
}

}  // namespace

void kv_append_tile_avx2(const KvAppendTile& tile) {
  if (tile.dtype == kInt8 || tile.dtype == kFp8) return append_codes(tile);
  append_keys(tile);
  append_values(tile);
}

}  // namespace espalier
