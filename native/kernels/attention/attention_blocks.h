// Register-blocked products of attention: queries x keys and probabilities x values, kBlockRows rows at a time.
// In terms of Vector; include vector_<isa>.h first and define kBlockRows.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

constexpr int kCacheF32 = 0, kCacheF16 = 1, kCacheBF16 = 2, kCacheInt8 = 3, kCacheFp8 = 4;
constexpr int64_t kPage = kAttentionPageTokens;

inline constexpr int64_t cache_bytes(int dtype) {
  if (dtype == kCacheF32) return 4;
  return dtype == kCacheF16 || dtype == kCacheBF16 ? 2 : 1;
}

inline constexpr bool has_scales(int dtype) { return dtype == kCacheInt8 || dtype == kCacheFp8; }

// What load_cache's result times a token's scale must be multiplied by.
inline constexpr float code_unit(int dtype) { return dtype == kCacheFp8 ? kE4m3Unit : 1.0f; }

// kLanes elements of the cache from element `index` on.
template <int kDType>
inline Vector load_cache(const char* base, int64_t index) {
  if constexpr (kDType == kCacheF32) return load(reinterpret_cast<const float*>(base) + index);
  if constexpr (kDType == kCacheInt8) return load_int8(reinterpret_cast<const int8_t*>(base) + index);
  if constexpr (kDType == kCacheFp8) return load_e4m3(reinterpret_cast<const uint8_t*>(base) + index);
  const uint16_t* halves = reinterpret_cast<const uint16_t*>(base) + index;
  return kDType == kCacheF16 ? load_f16(halves) : load_bf16(halves);
}

// scores [kRows, page] = queries [kRows, dim] x keys [dim, page]; score rows kAttentionChunkKeys apart.
template <int kDType, int kRows>
inline void score_block(const float* queries, int64_t dim, const char* keys, float* scores) {
  for (int64_t column = 0; column < kPage; column += 2 * kLanes) {
    Vector sums[kRows][2];
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) sums[r][0] = sums[r][1] = zeros();
    for (int64_t d = 0; d < dim; ++d) {
      const Vector k0 = load_cache<kDType>(keys, d * kPage + column);
      const Vector k1 = load_cache<kDType>(keys, d * kPage + column + kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        const Vector q = all(queries[r * dim + d]);
        sums[r][0] = multiply_add(q, k0, sums[r][0]);
        sums[r][1] = multiply_add(q, k1, sums[r][1]);
      }
    }
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      store(scores + r * kAttentionChunkKeys + column, sums[r][0]);
      store(scores + r * kAttentionChunkKeys + column + kLanes, sums[r][1]);
    }
  }
}

// The value rows of one chunk: page p begins at pages[p], rows `stride` elements apart, `keys` rows in all.
struct ValueChunk {
  const char* pages[kAttentionChunkKeys / kPage];
  int64_t stride;
  int64_t keys;
};

// accumulators [kRows, kVectors vectors from `column`] += probabilities [kRows, keys] x values.
template <int kDType, int kRows, int kVectors>
inline void value_block(const float* probabilities, const ValueChunk& values, int64_t column, float* accumulators,
                        int64_t ld) {
  Vector sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = load(accumulators + r * ld + column + v * kLanes);
  for (int64_t first = 0; first < values.keys; first += kPage) {
    const int64_t keys = values.keys - first < kPage ? values.keys - first : kPage;
    const char* page = values.pages[first / kPage] + column * cache_bytes(kDType);
    for (int64_t key = 0; key < keys; ++key) {
      Vector row[kVectors];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) row[v] = load_cache<kDType>(page, key * values.stride + v * kLanes);
#pragma GCC unroll 12
      for (int r = 0; r < kRows; ++r) {
        const Vector p = all(probabilities[r * kAttentionChunkKeys + first + key]);
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) sums[r][v] = multiply_add(p, row[v], sums[r][v]);
      }
    }
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(accumulators + r * ld + column + v * kLanes, sums[r][v]);
}

template <int kDType, int kRows>
inline void value_rows(const float* probabilities, const ValueChunk& values, int64_t dim, float* accumulators,
                       int64_t ld) {
  int64_t column = 0;
  for (; column + 2 * kLanes <= dim; column += 2 * kLanes)
    value_block<kDType, kRows, 2>(probabilities, values, column, accumulators, ld);
  if (column < dim) value_block<kDType, kRows, 1>(probabilities, values, column, accumulators, ld);
}

// Runs Body::run<kRows>() for the number of rows left, known only at run time: 1 to kRows.
template <int kRows, typename Body>
inline void with_rows(int64_t rows, const Body& body) {
  if constexpr (kRows == 1)
    body.template run<1>();
  else if (rows == kRows)
    body.template run<kRows>();
  else
    with_rows<kRows - 1>(rows, body);
}

template <int kDType>
struct ScoreBody {
  const float* queries;
  int64_t dim;
  const char* keys;
  float* scores;
  template <int kRows>
  void run() const {
    score_block<kDType, kRows>(queries, dim, keys, scores);
  }
};

template <int kDType>
inline void score_page(const float* queries, int64_t rows, int64_t dim, const char* keys, float* scores) {
  for (int64_t row = 0; row < rows; row += kBlockRows) {
    const int64_t n = rows - row < kBlockRows ? rows - row : kBlockRows;
    with_rows<kBlockRows>(n, ScoreBody<kDType>{queries + row * dim, dim, keys, scores + row * kAttentionChunkKeys});
  }
}

template <int kDType>
struct ValueBody {
  const float* probabilities;
  const ValueChunk* values;
  int64_t dim;
  float* accumulators;
  int64_t ld;
  template <int kRows>
  void run() const {
    value_rows<kDType, kRows>(probabilities, *values, dim, accumulators, ld);
  }
};

template <int kDType>
inline void value_chunk(const float* probabilities, int64_t rows, const ValueChunk& values, int64_t dim,
                        float* accumulators, int64_t ld) {
  for (int64_t row = 0; row < rows; row += kBlockRows) {
    const int64_t n = rows - row < kBlockRows ? rows - row : kBlockRows;
    with_rows<kBlockRows>(
        n, ValueBody<kDType>{probabilities + row * kAttentionChunkKeys, &values, dim, accumulators + row * ld, ld});
  }
}

}  // namespace
}  // namespace espalier
