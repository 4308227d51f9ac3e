// Layouts "gptq" and "awq", of tools that keep W transposed; only read.
//   gptq  qweight I32 [cols / per word, rows] (codes of eight columns in a word, the first in the lowest bits)
//         qzeros  I32 [groups, rows / per word], scales F16 [groups, rows], g_idx I32 [cols]
//   awq   qweight I32 [cols, rows / 8], qzeros I32 [groups, rows / 8], scales F16 [groups, rows]; the codes of rows
//         0 to 7 lie at places 0 4 1 5 2 6 3 7 of a word
// weight = (code - zero) * scale, all unsigned. GPTQ's first version stores zero points less one (zero_offset).
// SPDX-License-Identifier: Apache-2.0
#include "quant/layouts/layout_parts.h"

namespace espalier {
namespace {

// Place, in nibbles from the lowest bits, of each of eight neighbours.
constexpr int kInOrder[8] = {0, 1, 2, 3, 4, 5, 6, 7};
constexpr int kAwqOrder[8] = {0, 4, 1, 5, 2, 6, 3, 7};

int64_t groups_of(const QuantizedSource& source) {
  return (source.cols + source.grid.col_span - 1) / source.grid.col_span;
}

struct Words {
  std::vector<uint32_t> words;
  int64_t bits;
  const int* order;
  // Code `index` of those packed along one direction, `stride` words apart from `first`.
  uint32_t code(int64_t first, int64_t stride, int64_t index) const {
    const int64_t per_word = 32 / bits;
    const uint32_t word = words[static_cast<size_t>(first + index / per_word * stride)];
    const int64_t place = per_word == 8 ? order[index % 8] : index % per_word;
    return word >> (place * bits) & ((1u << bits) - 1u);
  }
};

Status check_type(const QuantizedSource& source, bool eight_bits) {
  if (source.type == CodeType::kInt4 || (eight_bits && source.type == CodeType::kInt8)) return Status::ok();
  return Status("ERR_QUANT_CONFIG",
                std::string(source.layout->id) + " is read with " + (eight_bits ? "4 or 8" : "4") + " bits");
}

Status check_gptq(const QuantizedSource& source) {
  ESP_RETURN_IF_ERROR(check_type(source, true));
  const int64_t per_word = 32 / code_type_info(source.type).bits, groups = groups_of(source);
  ESP_RETURN_IF_ERROR(expect_shape(source, "qweight", {(source.cols + per_word - 1) / per_word, source.rows}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "qzeros", {groups, (source.rows + per_word - 1) / per_word}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "scales", {groups, source.rows}));
  return expect_shape(source, "g_idx", {source.cols});
}

Status check_awq(const QuantizedSource& source) {
  ESP_RETURN_IF_ERROR(check_type(source, false));
  const int64_t groups = groups_of(source);
  ESP_RETURN_IF_ERROR(expect_shape(source, "qweight", {source.cols, (source.rows + 7) / 8}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "qzeros", {groups, (source.rows + 7) / 8}));
  return expect_shape(source, "scales", {groups, source.rows});
}

// Scales and zeros [groups, rows] -> [rows, groups].
Status read_scales(const QuantizedSource& source, const int* order, int64_t row_begin, int64_t row_count,
                   QuantizedMatrix* out) {
  Words zeros{{}, code_type_info(source.type).bits, order};
  std::vector<float> stored;
  ESP_RETURN_IF_ERROR(read_words(*source.part("qzeros"), &zeros.words));
  ESP_RETURN_IF_ERROR(read_floats(*source.part("scales"), &stored));
  const int64_t groups = groups_of(source), per_word = 32 / zeros.bits;
  const int64_t row_words = (source.rows + per_word - 1) / per_word;
  // A code stands for itself less this.
  const auto middle = static_cast<float>(1 << (zeros.bits - 1));
  std::vector<float> scales(static_cast<size_t>(source.rows * groups)), points(scales.size());
  for (int64_t row = 0; row < source.rows; ++row)
    for (int64_t group = 0; group < groups; ++group) {
      const auto at = static_cast<size_t>(row * groups + group);
      scales[at] = stored[static_cast<size_t>(group * source.rows + row)];
      points[at] =
          static_cast<float>(zeros.code(group * row_words, 1, row)) + static_cast<float>(source.zero_offset) - middle;
    }
  set_scales(source, scales, points, row_begin, row_count, out);
  return Status::ok();
}

QuantizedMatrix empty_matrix(const QuantizedSource& source, int64_t row_count) {
  QuantizedMatrix out;
  out.type = source.type;
  out.rows = row_count;
  out.cols = source.cols;
  out.codes.resize(static_cast<size_t>(row_count * source.cols));
  return out;
}

uint8_t code_of(CodeType type, uint32_t stored) {
  return static_cast<uint8_t>(type == CodeType::kInt8 ? stored ^ 0x80u : stored);
}

Status read_gptq(const QuantizedSource& source, int64_t row_begin, int64_t row_count, QuantizedMatrix* out) {
  *out = empty_matrix(source, row_count);
  Words weight{{}, code_type_info(source.type).bits, kInOrder};
  ESP_RETURN_IF_ERROR(read_words(*source.part("qweight"), &weight.words));
  size_t at = 0;
  for (int64_t row = row_begin; row < row_begin + row_count; ++row)
    for (int64_t col = 0; col < source.cols; ++col)
      out->codes[at++] = code_of(source.type, weight.code(row, source.rows, col));
  ESP_RETURN_IF_ERROR(read_scales(source, kInOrder, row_begin, row_count, out));
  const StoredPart* part = source.part("g_idx");
  if (part == nullptr) return Status::ok();
  std::vector<uint32_t> groups;
  ESP_RETURN_IF_ERROR(read_words(*part, &groups));
  bool usual = true;
  for (size_t col = 0; col < groups.size(); ++col)
    usual = usual && groups[col] == col / static_cast<size_t>(source.grid.col_span);
  if (!usual) out->column_groups.assign(groups.begin(), groups.end());
  return Status::ok();
}

Status read_awq(const QuantizedSource& source, int64_t row_begin, int64_t row_count, QuantizedMatrix* out) {
  *out = empty_matrix(source, row_count);
  Words weight{{}, 4, kAwqOrder};
  ESP_RETURN_IF_ERROR(read_words(*source.part("qweight"), &weight.words));
  const int64_t row_words = (source.rows + 7) / 8;
  size_t at = 0;
  for (int64_t row = row_begin; row < row_begin + row_count; ++row)
    for (int64_t col = 0; col < source.cols; ++col)
      out->codes[at++] = static_cast<uint8_t>(weight.code(col * row_words, 1, row));
  return read_scales(source, kAwqOrder, row_begin, row_count, out);
}

}  // namespace

extern const QuantLayout kLayoutGptq, kLayoutAwq;
const QuantLayout kLayoutGptq = {
    "gptq",
    {{"qweight", "I32", true}, {"qzeros", "I32", true}, {"scales", "F16 BF16 F32", true}, {"g_idx", "I32", false}},
    check_gptq,
    read_gptq,
    nullptr};
const QuantLayout kLayoutAwq = {"awq",
                                {{"qweight", "I32", true}, {"qzeros", "I32", true}, {"scales", "F16 BF16 F32", true}},
                                check_awq,
                                read_awq,
                                nullptr};

}  // namespace espalier
