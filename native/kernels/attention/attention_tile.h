// The serial piece of attention: some rows of one kv head against a range of keys, with an online softmax.
// Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

constexpr int64_t kAttentionTileRows = 48;    // a multiple of every variant's register block (12 and 6 rows)
constexpr int64_t kAttentionChunkKeys = 128;  // keys scored between two updates of the running softmax; whole pages
constexpr int64_t kAttentionPageTokens = 32;  // kKvPageTokens

// head_dim rounded up to whole vectors of every ISA.
static inline constexpr int64_t attention_padded_dim(int64_t head_dim) { return (head_dim + 15) / 16 * 16; }

// A row is one query of one head: row = query * group + head of the group, so that all heads that share a kv head
// share every load of its keys and values. Row r stands at position first_position + r / group.
struct AttentionTile {
  const float* q;  // query 0, first head of the group; queries ldq apart, heads head_dim apart
  int64_t ldq;
  float* out;  // same layout with ldo; nullptr leaves the unnormalised result in accumulators, maxima and sums
  int64_t ldo;
  int64_t group;
  int64_t row_begin, rows;  // rows [row_begin, row_begin + rows), rows <= kAttentionTileRows
  int64_t first_position;
  bool causal;
  int64_t key_begin, key_end;  // key_begin is a multiple of the page
  const int32_t* pages;
  const char* keys;          // [head_dim][page] of page 0, this kv head
  const char* values;        // [page][head_dim]
  const char* key_scales;    // [page] f32 of page 0, when the dtype has scales
  const char* value_scales;  // likewise
  int64_t page_stride_bytes;
  int64_t head_dim;
  int32_t dtype;  // 0 f32, 1 f16, 2 bf16, 3 int8, 4 fp8 (the values of KvDType)
  float scale;

  float* accumulators;  // [rows, padded_dim]  Σ exp(score - maximum) value
  float* maxima;        // [rows]              -inf when no key was seen
  float* sums;          // [rows]              Σ exp(score - maximum)
  float* queries;       // scratch [rows, head_dim]
  float* scores;        // scratch [rows, kAttentionChunkKeys]
  float* key_page;      // scratch [head_dim, page]
  float* value_chunk;   // scratch [kAttentionChunkKeys, padded_dim]
};

using AttentionTileFn = void (*)(const AttentionTile& tile);
void attention_tile_avx2(const AttentionTile& tile);
void attention_tile_avx512(const AttentionTile& tile);

}  // namespace espalier
