// Forward attention of one block of queries, with an online softmax (Milakov, Gimelshein 2018; Dao 2023, algorithm 1).
// In terms of Vector and attention_train_blocks.h; include both first.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

// A running softmax over one row of the accumulators.
struct RunningRow {
  float* maximum;
  float* sum;
  float* accumulators;  // [padded]
};

// Raw scores of a row become probabilities relative to the running maximum, which fades what was summed before. Keys
// that are not seen get 0.
inline void update_row(float* scores, int64_t columns, Seen seen, float scale, RunningRow row, int64_t padded) {
  const Vector scales = all(scale), least = all(-__builtin_inff());
  Vector best = all(*row.maximum);
  for (int64_t c = 0; c < columns; c += kLanes) {
    const Vector s = keep_seen(multiply(load(scores + c), scales), least, c, seen);
    store(scores + c, s);
    best = maximum(s, best);
  }
  const float top = max_lanes(best);
  if (seen.first == seen.last) {
    for (int64_t c = 0; c < columns; c += kLanes) store(scores + c, zeros());
    return;
  }
  const Vector tops = all(top);
  Vector sums = zeros();
  for (int64_t c = 0; c < columns; c += kLanes) {
    const Vector p = keep_seen(exponential(subtract(load(scores + c), tops)), zeros(), c, seen);
    store(scores + c, p);
    sums = add(sums, p);
  }
  const float before = *row.maximum;
  if (top != before) {
    const float fade = sum_lanes(exponential(subtract(all(before), tops))) / static_cast<float>(kLanes);
    *row.sum *= fade;
    *row.maximum = top;
    for (int64_t d = 0; d < padded; d += kLanes)
      store(row.accumulators + d, multiply(load(row.accumulators + d), all(fade)));
  }
  *row.sum += sum_lanes(sums);
}

inline void start_block(int64_t count, int64_t padded, const AttentionTrainScratch& scratch) {
  for (int64_t i = 0; i < count; ++i) {
    scratch.maxima[i] = -__builtin_inff();
    scratch.sums[i] = 0;
  }
  for (int64_t i = 0; i < count * padded; i += kLanes) store(scratch.accumulators + i, zeros());
}

inline void finish_block(const AttentionTrainHead& group, int64_t head, int64_t begin, int64_t count, int64_t padded,
                         const AttentionTrainScratch& scratch) {
  const int64_t dim = group.head_dim;
  for (int64_t i = 0; i < count; ++i) {
    float* out = group.out + (begin + i) * group.ldo + head * dim;
    const Vector inverse = all(1.0f / scratch.sums[i]);
    for (int64_t d = 0; d < dim; d += kLanes)
      store_up_to(out + d, multiply(load(scratch.accumulators + i * padded + d), inverse), dim - d);
    group.lse[head * group.length + begin + i] = scratch.maxima[i] + __builtin_logf(scratch.sums[i]);
  }
}

inline void forward_block(const AttentionTrainHead& group, int64_t head, int64_t begin,
                          const AttentionTrainScratch& scratch) {
  const int64_t dim = group.head_dim, padded = train_padded_dim(dim);
  const int64_t count = smaller(group.length - begin, kTrainQueryBlock), end = begin + count;
  start_block(count, padded, scratch);
  pack_tiles(group.q + begin * group.ldq + head * dim, group.ldq, count, dim, scratch.query_tiles);
  const int64_t first = first_key_of(group, begin, end) / kTrainPanel * kTrainPanel;
  for (int64_t key = first; key < end; key += kTrainKeyBlock) {
    const int64_t keys = smaller(end - key, kTrainKeyBlock), columns = whole_vectors(keys);
    tiles_by_panels(count, columns, dim, scratch.query_tiles, group.key_panels + key * dim, scratch.probabilities);
    for (int64_t i = 0; i < count; ++i)
      update_row(scratch.probabilities + i * kTrainKeyBlock, columns, seen_keys(group, begin + i, key, keys),
                 group.scale, {scratch.maxima + i, scratch.sums + i, scratch.accumulators + i * padded}, padded);
    const Rows values = padded_rows(group.v + key * group.ldv, group.ldv, keys, dim, padded, scratch.values);
    block_by_rows(count, keys, padded, scratch.probabilities, values, scratch.accumulators, true);
  }
  finish_block(group, head, begin, count, padded, scratch);
}

}  // namespace
}  // namespace espalier
