// Backward attention over blocks of keys and queries (Dao 2023, algorithm 2).
// In terms of Vector and attention_train_blocks.h; include both first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

// A block of keys against a block of queries of one head.
struct BackwardBlock {
  int64_t head, query, queries;
  int64_t key, keys;
  bool key_gradients, query_gradients;
};

// Scores and dP -> P = exp(scale * score - lse) and dS = scale * P * (dP - delta); 0 where a key is not seen, up to
// `columns`.
inline void probability_row(float* scores, float* gradients, int64_t columns, Seen seen, float scale, float lse,
                            float delta) {
  const Vector scales = all(scale), shifts = all(lse), deltas = all(delta);
  int64_t c = 0;
  for (; c < seen.last; c += kLanes) {
    const Vector exponent = subtract(multiply(load(scores + c), scales), shifts);
    const Vector p = keep_seen(exponential(exponent), zeros(), c, seen);
    store(scores + c, p);
    store(gradients + c, multiply(multiply(p, scales), subtract(load(gradients + c), deltas)));
  }
  for (; c < columns; c += kLanes) {
    store(scores + c, zeros());
    store(gradients + c, zeros());
  }
}

// P and dS of the block.
inline void fill_block(const AttentionTrainHead& group, const BackwardBlock& block,
                       const AttentionBackwardScratch& scratch) {
  const int64_t dim = group.head_dim, columns = whole_vectors(block.keys);
  const Panels keys = {group.key_panels + block.key * dim, dim}, values = {group.value_panels + block.key * dim, dim};
  for (int64_t row = 0; row < block.queries; row += kBlockRows) {
    const int64_t rows = smaller(block.queries - row, kBlockRows);
    const int64_t seen = whole_vectors(smaller(block.keys, block.query + row + rows - block.key));
    float* scores = scratch.probabilities + row * kTrainBackwardKeys;
    float* gradients = scratch.gradients + row * kTrainBackwardKeys;
    row_block<1, kBlockRows>(rows, seen, dim, scratch.query_tiles + row * dim, keys, scores, kTrainBackwardKeys, false);
    row_block<1, kBlockRows>(rows, seen, dim, scratch.dout_tiles + row * dim, values, gradients, kTrainBackwardKeys,
                             false);
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t place = block.query + row + i, stats = block.head * group.length + place;
      probability_row(scores + i * kTrainBackwardKeys, gradients + i * kTrainBackwardKeys, columns,
                      seen_keys(group, place, block.key, block.keys), group.scale, group.lse[stats],
                      group.deltas[stats]);
    }
  }
}

// sums [keys, padded] += blockᵀ x rows [queries, padded], where `block` is P or dS.
inline void add_key_gradients(const BackwardBlock& block, int64_t padded, const float* values, Rows rows, float* sums) {
  for (int64_t key = 0; key < block.keys; key += kBlockRows) {
    const int64_t before = larger(0, block.key + key - block.query);  // queries that see none of these keys
    if (before >= block.queries) return;
    row_block<1, kTrainBackwardKeys>(smaller(block.keys - key, kBlockRows), padded, block.queries - before,
                                     values + before * kTrainBackwardKeys + key,
                                     Rows{rows.data + before * rows.ld, rows.ld}, sums + key * padded, padded, true);
  }
}

// dq rows += dS x keys.
inline void add_query_gradients(const AttentionTrainHead& group, const BackwardBlock& block, int64_t padded, Rows keys,
                                const AttentionBackwardScratch& scratch) {
  for (int64_t row = 0; row < block.queries; row += kBlockRows) {
    const int64_t rows = smaller(block.queries - row, kBlockRows);
    const int64_t seen = smaller(block.keys, block.query + row + rows - block.key);
    row_block<kTrainBackwardKeys, 1>(rows, padded, seen, scratch.gradients + row * kTrainBackwardKeys, keys,
                                     scratch.query_sums + row * padded, padded, false);
  }
  for (int64_t i = 0; i < block.queries; ++i) {
    float* dq = group.dq + (block.query + i) * group.lddq + block.head * group.head_dim;
    for (int64_t d = 0; d < group.head_dim; d += kLanes) {
      const int64_t left = group.head_dim - d;
      store_up_to(dq + d, add(load_up_to(dq + d, left), load(scratch.query_sums + i * padded + d)), left);
    }
  }
}

inline void backward_block(const AttentionTrainHead& group, const BackwardBlock& block, Rows keys,
                           const AttentionBackwardScratch& scratch) {
  const int64_t dim = group.head_dim, padded = train_padded_dim(dim);
  const float* q = group.q + block.query * group.ldq + block.head * dim;
  const float* dout = group.dout + block.query * group.lddo + block.head * dim;
  pack_tiles(q, group.ldq, block.queries, dim, scratch.query_tiles);
  pack_tiles(dout, group.lddo, block.queries, dim, scratch.dout_tiles);
  fill_block(group, block, scratch);
  if (block.key_gradients) {
    const Rows douts = padded_rows(dout, group.lddo, block.queries, dim, padded, scratch.douts);
    add_key_gradients(block, padded, scratch.probabilities, douts, scratch.value_sums);
    const Rows queries = padded_rows(q, group.ldq, block.queries, dim, padded, scratch.queries);
    add_key_gradients(block, padded, scratch.gradients, queries, scratch.key_sums);
  }
  if (block.query_gradients) add_query_gradients(group, block, padded, keys, scratch);
}

inline void zero_query_gradients(const AttentionTrainHead& group, const AttentionBackwardRange& range) {
  const int64_t begin = range.head_begin * group.head_dim, width = range.head_end * group.head_dim - begin;
  for (int64_t i = range.query_begin; i < range.query_end; ++i)
    for (int64_t d = 0; d < width; d += kLanes) store_up_to(group.dq + i * group.lddq + begin + d, zeros(), width - d);
}

// One block of keys against the queries of the range that see any of it.
inline void backward_keys(const AttentionTrainHead& group, const AttentionBackwardRange& range, int64_t key,
                          const AttentionBackwardScratch& scratch) {
  const int64_t dim = group.head_dim, padded = train_padded_dim(dim);
  const int64_t keys = smaller(range.key_end - key, kTrainBackwardKeys);
  const Rows key_rows = padded_rows(group.k + key * group.ldk, group.ldk, keys, dim, padded, scratch.keys);
  for (int64_t head = range.head_begin; head < range.head_end; ++head)
    for (int64_t query = range.query_begin; query < range.query_end; query += kTrainQueryBlock) {
      const int64_t end = smaller(query + kTrainQueryBlock, range.query_end);
      if (end <= key || first_key_of(group, query, end) >= key + keys) continue;
      const BackwardBlock block = {
          head, query, end - query, key, smaller(keys, end - key), range.key_gradients, range.query_gradients};
      backward_block(group, block, key_rows, scratch);
    }
}

inline void store_key_gradients(const float* sums, int64_t keys, int64_t dim, int64_t padded, float* out, int64_t ld) {
  for (int64_t i = 0; i < keys; ++i)
    for (int64_t d = 0; d < dim; d += kLanes) store_up_to(out + i * ld + d, load(sums + i * padded + d), dim - d);
}

inline void backward_range(const AttentionTrainHead& group, const AttentionBackwardRange& range,
                           const AttentionBackwardScratch& scratch) {
  const int64_t dim = group.head_dim, padded = train_padded_dim(dim);
  if (range.query_gradients) zero_query_gradients(group, range);
  for (int64_t key = range.key_begin; key < range.key_end; key += kTrainBackwardKeys) {
    const int64_t keys = smaller(range.key_end - key, kTrainBackwardKeys);
    if (range.key_gradients)
      for (int64_t i = 0; i < keys * padded; i += kLanes) {
        store(scratch.key_sums + i, zeros());
        store(scratch.value_sums + i, zeros());
      }
    backward_keys(group, range, key, scratch);
    if (!range.key_gradients) continue;
    store_key_gradients(scratch.key_sums, keys, dim, padded, group.dk + key * group.lddk, group.lddk);
    store_key_gradients(scratch.value_sums, keys, dim, padded, group.dv + key * group.lddv, group.lddv);
  }
}

}  // namespace
}  // namespace espalier
