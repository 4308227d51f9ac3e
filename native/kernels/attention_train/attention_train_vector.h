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

// The largest of the scores that are seen, at least `least`.
inline float largest_seen(const float* scores, Seen seen, float least) {
  const Vector floor = all(least);
  Vector best = floor;
  for (int64_t c = seen.first / kLanes * kLanes; c < seen.last; c += kLanes)
    best = maximum(keep_seen(load(scores + c), floor, c, seen), best);
  return max_lanes(best);
}

// Scores of a row become probabilities relative to the running maximum, which fades what was summed before. Keys that
// are not seen, up to `columns`, get 0.
inline void update_row(float* scores, int64_t columns, Seen seen, RunningRow row, int64_t padded) {
  const float before = *row.maximum;
  const float top = largest_seen(scores, seen, before);
  const Vector tops = all(top);
  Vector sums = zeros();
  int64_t c = 0;
  for (; c + kLanes <= seen.first; c += kLanes) store(scores + c, zeros());
  for (; c < seen.last; c += kLanes) {
    const Vector p = keep_seen(exponential(subtract(load(scores + c), tops)), zeros(), c, seen);
    store(scores + c, p);
    sums = add(sums, p);
  }
  for (; c < columns; c += kLanes) store(scores + c, zeros());
  if (top != before) {
    // e^-inf would be worked out through subnormals, which take a hundred times longer
    const float fade = before == -__builtin_inff() ? 0.0f : __builtin_expf(before - top);
    *row.sum *= fade;
    *row.maximum = top;
    for (int64_t d = 0; d < padded; d += kLanes)
      store(row.accumulators + d, multiply(load(row.accumulators + d), all(fade)));
  }
  *row.sum += sum_lanes(sums);
}

inline void start_block(int64_t count, int64_t padded, const AttentionForwardScratch& scratch) {
  for (int64_t i = 0; i < count; ++i) {
    scratch.maxima[i] = -__builtin_inff();
    scratch.sums[i] = 0;
  }
  for (int64_t i = 0; i < count * padded; i += kLanes) store(scratch.accumulators + i, zeros());
}

inline void finish_block(const AttentionTrainHead& group, int64_t head, int64_t begin, int64_t count, int64_t padded,
                         const AttentionForwardScratch& scratch) {
  const int64_t dim = group.head_dim;
  for (int64_t i = 0; i < count; ++i) {
    float* out = group.out + (begin + i) * group.ldo + head * dim;
    const Vector inverse = all(1.0f / scratch.sums[i]);
    for (int64_t d = 0; d < dim; d += kLanes)
      store_up_to(out + d, multiply(load(scratch.accumulators + i * padded + d), inverse), dim - d);
    group.lse[head * group.length + begin + i] = scratch.maxima[i] + __builtin_logf(scratch.sums[i]);
  }
}

// Queries [place, place + rows) of the block, `first` its first, against keys [key, key + keys).
inline void forward_rows(const AttentionTrainHead& group, int64_t first, int64_t place, int64_t rows, int64_t key,
                         int64_t keys, Rows values, const AttentionForwardScratch& scratch) {
  const int64_t dim = group.head_dim, padded = train_padded_dim(dim), columns = whole_vectors(keys);
  const int64_t row = place - first;
  row_block<1, kBlockRows>(rows, columns, dim, scratch.query_tiles + row * dim,
                           Panels{group.key_panels + key * dim, dim}, scratch.probabilities, kTrainForwardKeys, false);
  for (int64_t i = 0; i < rows; ++i) {
    const RunningRow running = {scratch.maxima + row + i, scratch.sums + row + i,
                                scratch.accumulators + (row + i) * padded};
    update_row(scratch.probabilities + i * kTrainForwardKeys, columns, seen_keys(group, place + i, key, keys), running,
               padded);
  }
  row_block<kTrainForwardKeys, 1>(rows, padded, keys, scratch.probabilities, values,
                                  scratch.accumulators + row * padded, padded, true);
}

inline void forward_block(const AttentionTrainHead& group, int64_t head, int64_t begin,
                          const AttentionForwardScratch& scratch) {
  const int64_t dim = group.head_dim, padded = train_padded_dim(dim);
  const int64_t count = smaller(group.length - begin, kTrainQueryBlock), end = begin + count;
  start_block(count, padded, scratch);
  pack_tiles(group.q + begin * group.ldq + head * dim, group.ldq, count, dim, scratch.query_tiles);
  const Vector scale = all(group.scale);
  for (int64_t i = 0; i < (count + kBlockRows - 1) / kBlockRows * kBlockRows * dim; i += kLanes)
    store(scratch.query_tiles + i, multiply(load(scratch.query_tiles + i), scale));
  const int64_t first = first_key_of(group, begin, end) / kTrainPanel * kTrainPanel;
  for (int64_t key = first; key < end; key += kTrainForwardKeys) {
    const int64_t keys = smaller(end - key, kTrainForwardKeys);
    const Rows values = padded_rows(group.v + key * group.ldv, group.ldv, keys, dim, padded, scratch.values);
    for (int64_t place = begin; place < end; place += kBlockRows) {
      const int64_t rows = smaller(end - place, kBlockRows), seen = smaller(keys, place + rows - key);
      if (seen > 0) forward_rows(group, begin, place, rows, key, seen, values, scratch);
    }
  }
  finish_block(group, head, begin, count, padded, scratch);
}

}  // namespace
}  // namespace espalier
