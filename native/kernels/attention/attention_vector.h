// One attention tile: chunks of keys, online softmax (Milakov, Gimelshein 2018; Dao 2023, algorithm 1).
// In terms of Vector and attention_blocks.h; include both first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }

// How many keys of the chunk beginning at `key` row `row` of the tile sees: 0 to `keys`.
inline int64_t visible_keys(const AttentionTile& tile, int64_t row, int64_t key, int64_t keys) {
  if (!tile.causal) return keys;
  const int64_t position = tile.first_position + (tile.row_begin + row) / tile.group;
  const int64_t seen = position + 1 - key;
  return seen < 0 ? 0 : smaller(seen, keys);
}

inline void start(const AttentionTile& tile, int64_t padded) {
  const Vector scale = all(tile.scale);
  for (int64_t row = 0; row < tile.rows; ++row) {
    const int64_t query = (tile.row_begin + row) / tile.group;
    const int64_t head = (tile.row_begin + row) % tile.group;
    const float* q = tile.q + query * tile.ldq + head * tile.head_dim;
    float* packed = tile.queries + row * tile.head_dim;
    for (int64_t d = 0; d < tile.head_dim; d += kLanes)
      store_up_to(packed + d, multiply(load_up_to(q + d, tile.head_dim - d), scale), tile.head_dim - d);
    for (int64_t d = 0; d < padded; d += kLanes) store(tile.accumulators + row * padded + d, zeros());
    tile.maxima[row] = -__builtin_inff();
    tile.sums[row] = 0;
  }
}

// Scores become probabilities relative to the running maximum; what was accumulated before is scaled to it. Keys from
// `seen` up to `keys` get probability 0.
inline void update_row(float* scores, int64_t seen, int64_t keys, float* maximum_so_far, float* sum_so_far,
                       float* accumulators, int64_t padded) {
  const Vector least = all(-__builtin_inff());
  Vector best = all(*maximum_so_far);
  for (int64_t i = 0; i < seen; i += kLanes) {
    const Vector s = keep_first(load(scores + i), least, smaller(seen - i, kLanes));
    store(scores + i, s);
    best = maximum(s, best);
  }
  const float top = max_lanes(best);
  const Vector tops = all(top);
  Vector sums = zeros();
  int64_t i = 0;
  for (; i < seen; i += kLanes) {
    const Vector p = exponential(subtract(load(scores + i), tops));
    store(scores + i, p);
    sums = add(sums, p);
  }
  for (; i < keys; i += kLanes) store(scores + i, zeros());
  const float before = *maximum_so_far;
  if (top != before) {
    const float fade = sum_lanes(exponential(subtract(all(before), tops))) / static_cast<float>(kLanes);
    const Vector fades = all(fade);
    *sum_so_far *= fade;
    *maximum_so_far = top;
    for (int64_t d = 0; d < padded; d += kLanes) store(accumulators + d, multiply(load(accumulators + d), fades));
  }
  *sum_so_far += sum_lanes(sums);
}

inline void finish(const AttentionTile& tile, int64_t padded) {
  for (int64_t row = 0; row < tile.rows; ++row) {
    const int64_t query = (tile.row_begin + row) / tile.group;
    const int64_t head = (tile.row_begin + row) % tile.group;
    float* out = tile.out + query * tile.ldo + head * tile.head_dim;
    const Vector inverse = all(1.0f / tile.sums[row]);
    for (int64_t d = 0; d < tile.head_dim; d += kLanes)
      store_up_to(out + d, multiply(load(tile.accumulators + row * padded + d), inverse), tile.head_dim - d);
  }
}

// Widens `rows` rows of `width` cache elements into f32 rows of `padded` (whole vectors, zeros behind the row).
template <int kDType>
inline void widen(const char* source, int64_t rows, int64_t width, float* out, int64_t padded) {
  for (int64_t row = 0; row < rows; ++row) {
    const int64_t begin = row * width;
    int64_t d = 0;
    for (; d + kLanes <= width; d += kLanes) store(out + row * padded + d, load_cache<kDType>(source, begin + d));
    if (d == width) continue;
    alignas(64) char tail[64] = {};  // the row may be the last of the cache: nothing behind it is read
    __builtin_memcpy(tail, source + (begin + d) * cache_bytes(kDType), (width - d) * cache_bytes(kDType));
    store(out + row * padded + d, load_cache<kDType>(tail, 0));
  }
}

// Columns of `rows` rows of the chunk's scores, from `column` on, times their tokens' scales [page].
inline void apply_scales(float* scores, int64_t rows, int64_t column, const char* scales, float unit) {
  const float* scale = reinterpret_cast<const float*>(scales);
  for (int64_t i = 0; i < kPage; i += kLanes) {
    const Vector factor = multiply(load(scale + i), all(unit));
    for (int64_t row = 0; row < rows; ++row) {
      float* place = scores + row * kAttentionChunkKeys + column + i;
      store(place, multiply(load(place), factor));
    }
  }
}

// The page that holds `key`, from what it is at page 0.
inline const char* page_of(const AttentionTile& tile, const char* first, int64_t key) {
  return first + tile.pages[key / kPage] * tile.page_stride_bytes;
}

// Asks for a page before it is needed: pages lie far apart, where no hardware prefetcher follows. Keys are asked for
// while values are worked on and the other way round: attending to 4096 cold tokens is about 1.2 times as fast
// (Sapphire Rapids, 2 threads).
template <int kDType>
inline void prefetch_page(const char* page, int64_t dim) {
  const int64_t scales = has_scales(kDType) ? kPage * static_cast<int64_t>(sizeof(float)) : 0;
  for (int64_t at = -scales; at < dim * kPage * cache_bytes(kDType); at += 64) __builtin_prefetch(page + at, 0, 2);
}

template <int kDType>
inline void score_chunk(const AttentionTile& tile, int64_t first_row, int64_t key, int64_t keys) {
  const bool widened = kDType != kCacheF32 && tile.rows - first_row > kBlockRows;  // pays when used more than once
  const float* queries = tile.queries + first_row * tile.head_dim;
  for (int64_t offset = 0; offset < keys; offset += kPage) {
    const char* page = page_of(tile, tile.keys, key + offset);
    prefetch_page<kDType>(page_of(tile, tile.values, key + offset), tile.head_dim);
    float* scores = tile.scores + first_row * kAttentionChunkKeys + offset;
    if (widened) {
      widen<kDType>(page, tile.head_dim, kPage, tile.key_page, kPage);
      score_page<kCacheF32>(queries, tile.rows - first_row, tile.head_dim, reinterpret_cast<const char*>(tile.key_page),
                            scores);
    } else {
      score_page<kDType>(queries, tile.rows - first_row, tile.head_dim, page, scores);
    }
    if constexpr (has_scales(kDType)) {
      const char* scales = page_of(tile, tile.key_scales, key + offset);
      apply_scales(scores, tile.rows - first_row, 0, scales, code_unit(kDType));
    }
  }
}

template <int kDType>
inline void accumulate_chunk(const AttentionTile& tile, int64_t first_row, int64_t key, int64_t keys, int64_t padded) {
  const bool whole_vectors = tile.head_dim % kLanes == 0;
  const bool widened = !whole_vectors || (kDType != kCacheF32 && tile.rows - first_row > kBlockRows);
  ValueChunk values;
  values.stride = widened ? padded : tile.head_dim;
  values.keys = keys;
  for (int64_t offset = 0; offset < keys; offset += kPage) {
    const char* page = page_of(tile, tile.values, key + offset);
    const int64_t next = key + offset + kAttentionChunkKeys;
    if (next < tile.key_end) prefetch_page<kDType>(page_of(tile, tile.keys, next), tile.head_dim);
    values.pages[offset / kPage] = page;
    if (!widened) continue;
    float* wide = tile.value_chunk + offset * padded;
    widen<kDType>(page, smaller(kPage, keys - offset), tile.head_dim, wide, padded);
    values.pages[offset / kPage] = reinterpret_cast<const char*>(wide);
  }
  const int64_t rows = tile.rows - first_row;
  float* probabilities = tile.scores + first_row * kAttentionChunkKeys;
  if constexpr (has_scales(kDType))
    for (int64_t offset = 0; offset < keys; offset += kPage) {
      const char* scales = page_of(tile, tile.value_scales, key + offset);
      apply_scales(probabilities, rows, offset, scales, code_unit(kDType));
    }
  float* accumulators = tile.accumulators + first_row * padded;
  if (widened)
    value_chunk<kCacheF32>(probabilities, rows, values, padded, accumulators, padded);
  else
    value_chunk<kDType>(probabilities, rows, values, tile.head_dim, accumulators, padded);
}

template <int kDType>
inline void attend(const AttentionTile& tile) {
  const int64_t padded = attention_padded_dim(tile.head_dim);
  start(tile, padded);
  for (int64_t key = tile.key_begin; key < tile.key_end; key += kAttentionChunkKeys) {
    const int64_t keys = visible_keys(tile, tile.rows - 1, key, smaller(kAttentionChunkKeys, tile.key_end - key));
    if (keys == 0) break;
    int64_t first_row = 0;  // rows stand in order of position: those before it see nothing of this chunk
    while (visible_keys(tile, first_row, key, keys) == 0) ++first_row;
    score_chunk<kDType>(tile, first_row, key, keys);
    for (int64_t row = first_row; row < tile.rows; ++row)
      update_row(tile.scores + row * kAttentionChunkKeys, visible_keys(tile, row, key, keys), keys, tile.maxima + row,
                 tile.sums + row, tile.accumulators + row * padded, padded);
    accumulate_chunk<kDType>(tile, first_row, key, keys, padded);
  }
  if (tile.out != nullptr) finish(tile, padded);
}

inline void attend_any(const AttentionTile& tile) {
  if (tile.dtype == kCacheF32)
    attend<kCacheF32>(tile);
  else if (tile.dtype == kCacheF16)
    attend<kCacheF16>(tile);
  else if (tile.dtype == kCacheBF16)
    attend<kCacheBF16>(tile);
  else if (tile.dtype == kCacheInt8)
    attend<kCacheInt8>(tile);
  else
    attend<kCacheFp8>(tile);
}

}  // namespace
}  // namespace espalier
