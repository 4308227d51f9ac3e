// SPDX-License-Identifier: Apache-2.0
#include "quant/int4_group.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

namespace espalier {
namespace {

constexpr float kLeast = -8.0f, kMost = 7.0f;
// A rounded value may lie a step, at most 2/15 of this, further out and must stay finite.
constexpr float kLargest = 3e38f;

Status check_size(const char* name, size_t found, int64_t expected) {
  if (found == static_cast<size_t>(expected)) return Status::ok();
  return Status("ERR_SHAPE",
                format_text("%s holds %zu elements; expected %lld", name, found, static_cast<long long>(expected)));
}

Status check_sizes(const Int4Shape& shape, size_t w, size_t q, size_t scales, size_t zero_points) {
  ESP_RETURN_IF_ERROR(check_int4_shape(shape));
  ESP_RETURN_IF_ERROR(check_size("weight", w, shape.rows * shape.cols));
  ESP_RETURN_IF_ERROR(check_size("q", q, shape.rows * shape.cols));
  ESP_RETURN_IF_ERROR(check_size("scales", scales, shape.rows * shape.groups()));
  return zero_points == 0 ? Status::ok() : check_size("zero points", zero_points, shape.rows * shape.groups());
}

Status check_packed(size_t q, int64_t rows, int64_t cols, size_t words, int64_t expected_words) {
  if (rows < 0 || cols < 0)
    return Status("ERR_SHAPE", format_text("int4: shape [%lld, %lld] has a negative size", static_cast<long long>(rows),
                                           static_cast<long long>(cols)));
  ESP_RETURN_IF_ERROR(check_size("q", q, rows * cols));
  return check_size("packed words", words, expected_words);
}

Status check_values(const Int4Shape& shape, std::span<const float> w) {
  for (size_t i = 0; i < w.size(); ++i)
    if (!(std::fabs(w[i]) <= kLargest))
      return Status("ERR_WEIGHT_VALUE",
                    format_text("weight [%lld, %lld] is %g; int4 holds finite values up to %g",
                                static_cast<long long>(i / shape.cols), static_cast<long long>(i % shape.cols),
                                static_cast<double>(w[i]), static_cast<double>(kLargest)));
  return Status::ok();
}

Status check_ranges(std::span<const float> scales, std::span<const int8_t> zero_points) {
  for (size_t i = 0; i < scales.size(); ++i)
    if (!(scales[i] > 0 && std::isfinite(scales[i])))
      return Status("ERR_QUANT_SCALE",
                    format_text("scale %zu is %g; expected a finite value above 0", i, static_cast<double>(scales[i])));
  for (size_t i = 0; i < zero_points.size(); ++i)
    if (zero_points[i] < -8 || zero_points[i] > 7)
      return Status("ERR_QUANT_SCALE", format_text("zero point %zu is %d; expected -8 to 7", i, zero_points[i]));
  return Status::ok();
}

// nearbyint rounds half to even. The clamp comes first, as in compressed-tensors; both orders give the same.
int8_t rounded(float value) { return static_cast<int8_t>(std::nearbyint(std::clamp(value, kLeast, kMost))); }

// Calls body(code, word, shift) for every code of [rows, cols] packed along the columns of a row.
template <typename Body>
void for_each_in_rows(int64_t rows, int64_t cols, Body&& body) {
  const int64_t row_words = int4_packed_words(cols);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t col = 0; col < cols; ++col) body(row * cols + col, row * row_words + col / 8, col % 8 * 4);
}

template <typename Body>
void for_each_in_columns(int64_t rows, int64_t cols, Body&& body) {
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t col = 0; col < cols; ++col) body(row * cols + col, row / 8 * cols + col, row % 8 * 4);
}

uint32_t nibble_of(int8_t q) { return static_cast<uint32_t>(q + 8) & 15u; }
int8_t code_of(uint32_t word, int64_t shift) { return static_cast<int8_t>(static_cast<int>(word >> shift & 15u) - 8); }

}  // namespace

Status check_int4_shape(const Int4Shape& shape) {
  if (shape.rows < 0 || shape.cols < 0)
    return Status("ERR_SHAPE", format_text("int4: shape [%lld, %lld] has a negative size",
                                           static_cast<long long>(shape.rows), static_cast<long long>(shape.cols)));
  const int64_t size = shape.group_size;
  const bool known = size == 32 || size == 64 || size == 128 || size == shape.cols;
  if (known && (size == 0 || shape.cols % size == 0)) return Status::ok();
  return Status("ERR_QUANT_GROUP_SIZE", format_text("group_size %lld for %lld columns; expected 32, 64, 128 or all "
                                                    "columns, dividing them",
                                                    static_cast<long long>(size), static_cast<long long>(shape.cols)));
}

Status int4_group_ranges(const Int4Shape& shape, std::span<const float> w, std::span<float> scales,
                         std::span<int8_t> zero_points) {
  ESP_RETURN_IF_ERROR(check_sizes(shape, w.size(), w.size(), scales.size(), zero_points.size()));
  ESP_RETURN_IF_ERROR(check_values(shape, w));
  for (size_t group = 0; group < scales.size(); ++group) {
    const auto values = w.subspan(group * shape.group_size, shape.group_size);
    float least = 0, most = 0;
    for (const float value : values) {
      least = std::min(least, value);
      most = std::max(most, value);
    }
    const bool symmetric = zero_points.empty();
    // Halves: max - min may be beyond f32. The quotient is the same to the bit, odd subnormals apart.
    float scale = symmetric ? std::max(-least, most) / 7.5f : (most * 0.5f - least * 0.5f) / 7.5f;
    if (!symmetric) zero_points[group] = scale == 0 ? int8_t{0} : rounded(kLeast - least / scale);
    if (scale == 0) scale = FLT_EPSILON;
    scales[group] = scale;
  }
  return Status::ok();
}

Status int4_group_quantize(const Int4Shape& shape, std::span<const float> w, std::span<const float> scales,
                           std::span<const int8_t> zero_points, std::span<int8_t> q) {
  ESP_RETURN_IF_ERROR(check_sizes(shape, w.size(), q.size(), scales.size(), zero_points.size()));
  ESP_RETURN_IF_ERROR(check_values(shape, w));
  ESP_RETURN_IF_ERROR(check_ranges(scales, zero_points));
  for (size_t i = 0; i < w.size(); ++i) {
    const size_t group = i / shape.group_size;
    const float zero_point = zero_points.empty() ? 0.0f : zero_points[group];
    q[i] = rounded(w[i] / scales[group] + zero_point);
  }
  return Status::ok();
}

Status int4_group_dequantize(const Int4Shape& shape, std::span<const int8_t> q, std::span<const float> scales,
                             std::span<const int8_t> zero_points, std::span<float> out) {
  ESP_RETURN_IF_ERROR(check_sizes(shape, out.size(), q.size(), scales.size(), zero_points.size()));
  ESP_RETURN_IF_ERROR(check_ranges(scales, zero_points));
  for (size_t i = 0; i < out.size(); ++i) {
    const size_t group = i / shape.group_size;
    const int zero_point = zero_points.empty() ? 0 : zero_points[group];
    out[i] = static_cast<float>(q[i] - zero_point) * scales[group];
  }
  return Status::ok();
}

Status int4_pack_rows(std::span<const int8_t> q, int64_t rows, int64_t cols, std::span<uint32_t> words) {
  ESP_RETURN_IF_ERROR(check_packed(q.size(), rows, cols, words.size(), rows * int4_packed_words(cols)));
  std::ranges::fill(words, 0u);
  for_each_in_rows(rows, cols,
                   [&](int64_t i, int64_t word, int64_t shift) { words[word] |= nibble_of(q[i]) << shift; });
  return Status::ok();
}

Status int4_unpack_rows(std::span<const uint32_t> words, int64_t rows, int64_t cols, std::span<int8_t> q) {
  ESP_RETURN_IF_ERROR(check_packed(q.size(), rows, cols, words.size(), rows * int4_packed_words(cols)));
  for_each_in_rows(rows, cols, [&](int64_t i, int64_t word, int64_t shift) { q[i] = code_of(words[word], shift); });
  return Status::ok();
}

Status int4_pack_columns(std::span<const int8_t> q, int64_t rows, int64_t cols, std::span<uint32_t> words) {
  ESP_RETURN_IF_ERROR(check_packed(q.size(), rows, cols, words.size(), int4_packed_words(rows) * cols));
  std::ranges::fill(words, 0u);
  for_each_in_columns(rows, cols,
                      [&](int64_t i, int64_t word, int64_t shift) { words[word] |= nibble_of(q[i]) << shift; });
  return Status::ok();
}

Status int4_unpack_columns(std::span<const uint32_t> words, int64_t rows, int64_t cols, std::span<int8_t> q) {
  ESP_RETURN_IF_ERROR(check_packed(q.size(), rows, cols, words.size(), int4_packed_words(rows) * cols));
  for_each_in_columns(rows, cols, [&](int64_t i, int64_t word, int64_t shift) { q[i] = code_of(words[word], shift); });
  return Status::ok();
}

}  // namespace espalier
