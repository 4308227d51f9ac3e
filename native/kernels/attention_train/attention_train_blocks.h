// Register-blocked products of attention for training. In terms of Vector; include vector_<isa>.h first and define
// kBlockRows.
// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace espalier {
namespace {

// The right side of a product: vector v of row k of a strip stands at data + k * ld + v * step.
struct Strip {
  const float* data;
  int64_t ld;
  int64_t step;
};

// c [kRows, kVectors] (+)= Σ_k a[r * kRowStep + k * kDepthStep] * strip. The steps are constants so that every
// broadcast is one pointer and an offset.
template <int kRows, int kVectors, int kRowStep, int kDepthStep>
inline void product_block(const float* a, const Strip& strip, int64_t depth, float* c, int64_t ldc, bool accumulate) {
  Vector sums[kRows][kVectors];
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) sums[r][v] = accumulate ? load(c + r * ldc + v * kLanes) : zeros();
  const float* b = strip.data;
  for (int64_t k = 0; k < depth; ++k) {
    Vector row[kVectors];
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) row[v] = load(b + v * strip.step);
#pragma GCC unroll 12
    for (int r = 0; r < kRows; ++r) {
      const Vector value = all(a[r * kRowStep]);
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) sums[r][v] = multiply_add(value, row[v], sums[r][v]);
    }
    a += kDepthStep;
    b += strip.ld;
  }
#pragma GCC unroll 12
  for (int r = 0; r < kRows; ++r)
#pragma GCC unroll 2
    for (int v = 0; v < kVectors; ++v) store(c + r * ldc + v * kLanes, sums[r][v]);
}

// Rows left at the end of a block, known only at run time: 1 to kRows.
template <int kRows, int kVectors, int kRowStep, int kDepthStep>
inline void product_rows(int64_t rows, const float* a, const Strip& strip, int64_t depth, float* c, int64_t ldc,
                         bool accumulate) {
  if (rows == kRows) return product_block<kRows, kVectors, kRowStep, kDepthStep>(a, strip, depth, c, ldc, accumulate);
  if constexpr (kRows > 1)
    product_rows<kRows - 1, kVectors, kRowStep, kDepthStep>(rows, a, strip, depth, c, ldc, accumulate);
}

// c [rows, columns] (+)= A B of one register block: rows <= kBlockRows, columns whole vectors; strip(column) gives B
// from `column` on.
template <int kRowStep, int kDepthStep, typename StripAt>
inline void row_block(int64_t rows, int64_t columns, int64_t depth, const float* a, const StripAt& strip, float* c,
                      int64_t ldc, bool accumulate) {
  int64_t column = 0;
  for (; column + 2 * kLanes <= columns; column += 2 * kLanes)
    product_rows<kBlockRows, 2, kRowStep, kDepthStep>(rows, a, strip(column), depth, c + column, ldc, accumulate);
  if (column < columns)
    product_rows<kBlockRows, 1, kRowStep, kDepthStep>(rows, a, strip(column), depth, c + column, ldc, accumulate);
}

// Rows of whole vectors, ld apart.
struct Rows {
  const float* data;
  int64_t ld;
  Strip operator()(int64_t column) const { return {data + column, ld, kLanes}; }
};

// Panels of kTrainPanel interleaved rows: [panel][depth][kTrainPanel].
struct Panels {
  const float* data;
  int64_t depth;
  Strip operator()(int64_t column) const {
    const float* panel = data + column / kTrainPanel * depth * kTrainPanel + column % kTrainPanel;
    return {panel, kTrainPanel, kLanes < kTrainPanel ? kLanes : depth * kTrainPanel};
  }
};

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }
inline int64_t whole_vectors(int64_t n) { return (n + kLanes - 1) / kLanes * kLanes; }

// Rows [count, dim] of memory as rows of whole vectors: in place, or copied with zeros behind.
inline Rows padded_rows(const float* source, int64_t ld, int64_t count, int64_t dim, int64_t padded, float* copy) {
  if (dim == padded) return {source, ld};
  for (int64_t row = 0; row < count; ++row)
    for (int64_t d = 0; d < padded; d += kLanes)
      store(copy + row * padded + d, d < dim ? load_up_to(source + row * ld + d, dim - d) : zeros());
  return {copy, padded};
}

// Rows [count, dim] -> [count / kBlockRows][dim][kBlockRows], zeros behind the last row.
inline void pack_tiles(const float* source, int64_t ld, int64_t count, int64_t dim, float* tiles) {
  for (int64_t row = 0; row < count; row += kBlockRows)
    interleave_rows(reinterpret_cast<const uint32_t*>(source + row * ld), ld, smaller(count - row, kBlockRows), dim,
                    kBlockRows, reinterpret_cast<uint32_t*>(tiles + row * dim));
}

inline void pack_key_panel(const float* source, int64_t ld, int64_t count, int64_t dim, float* panel) {
  interleave_rows(reinterpret_cast<const uint32_t*>(source), ld, count, dim, kTrainPanel,
                  reinterpret_cast<uint32_t*>(panel));
}

// The keys of a block beginning at `key` that the query at `place` sees: [first, last), both within [0, keys].
struct Seen {
  int64_t first, last;
};
inline Seen seen_keys(const AttentionTrainHead& group, int64_t place, int64_t key, int64_t keys) {
  const int64_t start = group.document_starts != nullptr ? group.document_starts[place] : 0;
  const int64_t last = larger(0, smaller(place + 1 - key, keys));
  return {smaller(larger(0, start - key), last), last};
}

// The first key that any query of [begin, end) sees.
inline int64_t first_key_of(const AttentionTrainHead& group, int64_t begin, int64_t end) {
  if (group.document_starts == nullptr) return 0;
  int64_t first = group.document_starts[begin];
  for (int64_t i = begin + 1; i < end; ++i) first = smaller(first, group.document_starts[i]);
  return first;
}

// v where lane + column is in [first, last), `rest` elsewhere.
inline Vector keep_seen(Vector v, Vector rest, int64_t column, Seen seen) {
  if (column + kLanes > seen.last) v = keep_first(v, rest, larger(0, seen.last - column));
  if (column < seen.first) v = keep_first(rest, v, smaller(seen.first - column, kLanes));
  return v;
}

inline float vector_dot(const float* a, const float* b, int64_t n) {
  Vector sum = zeros();
  for (int64_t i = 0; i < n; i += kLanes) sum = multiply_add(load_up_to(a + i, n - i), load_up_to(b + i, n - i), sum);
  return sum_lanes(sum);
}

}  // namespace
}  // namespace espalier
