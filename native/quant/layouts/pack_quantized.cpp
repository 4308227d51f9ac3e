// Layout "pack-quantized" of compressed-tensors: 4 or 8 bits in words of 32.
//   weight_packed      I32    [rows, ceil(cols / per word)]; element k of a row in bits k % per word * bits, plus
//   2^(bits-1) weight_scale       float  [rows, groups] or [rows, 1] weight_shape       I64    [2] = rows, cols
//   weight_zero_point  I32    [ceil(rows / per word), groups], packed along rows; asymmetric only
//   weight_g_idx       I32    [cols], the group of each column (actorder)
// SPDX-License-Identifier: Apache-2.0
#include "quant/layouts/layout_parts.h"

namespace espalier {
namespace {

struct Packing {
  int64_t bits;
  int64_t per_word() const { return 32 / bits; }
  int64_t words(int64_t count) const { return (count + per_word() - 1) / per_word(); }
  // The code of a stored value and back: int4 is stored as its code, int8 as value + 128.
  uint8_t flip() const { return bits == 8 ? 0x80 : 0; }
  uint8_t take(uint32_t word, int64_t index) const {
    return static_cast<uint8_t>((word >> (index * bits) & ((1u << bits) - 1u)) ^ flip());
  }
  uint32_t put(uint8_t code, int64_t index) const { return static_cast<uint32_t>(code ^ flip()) << (index * bits); }
};

Packing packing_of(CodeType type) { return {code_type_info(type).bits}; }

// A zero point, in units of codes, of what the word holds.
float zero_of(CodeType type, uint8_t code) { return code_values(type)[code]; }

Status check(const QuantizedSource& source) {
  if (source.type != CodeType::kInt4 && source.type != CodeType::kInt8)
    return Status("ERR_QUANT_CONFIG", "pack-quantized holds int4 and int8");
  if (source.zeros && source.part("weight_zero_point") == nullptr) return part_error("weight_zero_point", "missing");
  const Packing packing = packing_of(source.type);
  const int64_t groups = (source.cols + source.grid.col_span - 1) / source.grid.col_span;
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight_packed", {source.rows, packing.words(source.cols)}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight_scale", {source.rows, groups}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight_zero_point", {packing.words(source.rows), groups}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight_g_idx", {source.cols}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight_shape", {2}));
  const StoredPart& part = *source.part("weight_shape");
  int64_t sizes[2] = {};
  int32_t narrow[2] = {};
  const bool wide = part.type == StoredType::kI64;
  ESP_RETURN_IF_ERROR(read_part(part, 0, 2, wide ? static_cast<void*>(sizes) : narrow));
  for (int i = 0; i < 2 && !wide; ++i) sizes[i] = narrow[i];
  if (sizes[0] == source.rows && sizes[1] == source.cols) return Status::ok();
  return part_error("weight_shape",
                    format_text("says [%lld, %lld]; expected [%lld, %lld]", static_cast<long long>(sizes[0]),
                                static_cast<long long>(sizes[1]), static_cast<long long>(source.rows),
                                static_cast<long long>(source.cols)));
}

Status read_zeros(const QuantizedSource& source, std::vector<float>* zeros) {
  const StoredPart* part = source.part("weight_zero_point");
  if (part == nullptr) return Status::ok();
  std::vector<uint32_t> words;
  ESP_RETURN_IF_ERROR(read_words(*part, &words));
  const Packing packing = packing_of(source.type);
  const int64_t groups = (source.cols + source.grid.col_span - 1) / source.grid.col_span;
  for (int64_t row = 0; row < source.rows; ++row)
    for (int64_t group = 0; group < groups; ++group)
      zeros->push_back(
          zero_of(source.type, packing.take(words[static_cast<size_t>(row / packing.per_word() * groups + group)],
                                            row % packing.per_word())));
  return Status::ok();
}

// Columns in other than their own order; the usual order leaves `out` empty.
Status read_column_groups(const QuantizedSource& source, QuantizedMatrix* out) {
  const StoredPart* part = source.part("weight_g_idx");
  if (part == nullptr) return Status::ok();
  std::vector<uint32_t> words;
  ESP_RETURN_IF_ERROR(read_words(*part, &words));
  bool usual = true;
  for (size_t col = 0; col < words.size(); ++col)
    usual = usual && words[col] == col / static_cast<size_t>(source.grid.col_span);
  if (!usual) out->column_groups.assign(words.begin(), words.end());
  return Status::ok();
}

Status read(const QuantizedSource& source, int64_t row_begin, int64_t row_count, QuantizedMatrix* out) {
  const Packing packing = packing_of(source.type);
  const int64_t row_words = packing.words(source.cols);
  *out = QuantizedMatrix{};
  out->type = source.type;
  out->rows = row_count;
  out->cols = source.cols;
  std::vector<uint32_t> words(static_cast<size_t>(row_count * row_words));
  if (!words.empty())
    ESP_RETURN_IF_ERROR(
        read_part(*source.part("weight_packed"), row_begin * row_words, row_count * row_words, words.data()));
  out->codes.resize(static_cast<size_t>(row_count * source.cols));
  size_t at = 0;
  for (int64_t row = 0; row < row_count; ++row)
    for (int64_t col = 0; col < source.cols; ++col)
      out->codes[at++] = packing.take(words[static_cast<size_t>(row * row_words + col / packing.per_word())],
                                      col % packing.per_word());
  std::vector<float> scales, zeros;
  ESP_RETURN_IF_ERROR(read_floats(*source.part("weight_scale"), &scales));
  ESP_RETURN_IF_ERROR(read_zeros(source, &zeros));
  set_scales(source, scales, zeros, row_begin, row_count, out);
  return read_column_groups(source, out);
}

Status write(const QuantizedMatrix& matrix, const WriteOptions& options, std::vector<WrittenPart>* out) {
  if ((matrix.type != CodeType::kInt4 && matrix.type != CodeType::kInt8) || matrix.grid.row_span != 1 ||
      matrix.grid.across_rows)
    return Status("ERR_WEIGHT_FORMAT", "pack-quantized holds int4 and int8 with scales of rows or groups");
  const Packing packing = packing_of(matrix.type);
  const int64_t row_words = packing.words(matrix.cols), groups = matrix.scale_cols();
  std::vector<uint32_t> words(static_cast<size_t>(matrix.rows * row_words));
  for (int64_t row = 0; row < matrix.rows; ++row)
    for (int64_t col = 0; col < matrix.cols; ++col)
      words[static_cast<size_t>(row * row_words + col / packing.per_word())] |=
          packing.put(matrix.codes[static_cast<size_t>(row * matrix.cols + col)], col % packing.per_word());
  out->push_back(plain_part("weight_packed", words, StoredType::kI32, {matrix.rows, row_words}));
  out->push_back(float_part("weight_scale", matrix.scales, options.scale_type, {matrix.rows, groups}));
  out->push_back(plain_part("weight_shape", std::vector<int64_t>{matrix.rows, matrix.cols}, StoredType::kI64, {2}));
  if (matrix.zeros.empty()) return Status::ok();
  const int half = 1 << (packing.bits - 1);
  std::vector<int8_t> zeros;
  ESP_RETURN_IF_ERROR(whole_zeros(matrix, -half, half - 1, &zeros));
  std::vector<uint32_t> packed(static_cast<size_t>(packing.words(matrix.rows) * groups));
  for (int64_t row = 0; row < matrix.rows; ++row)
    for (int64_t group = 0; group < groups; ++group) {
      const int8_t zero = zeros[static_cast<size_t>(row * groups + group)];
      const auto code = static_cast<uint8_t>(packing.bits == 4 ? zero + 8 : zero);
      packed[static_cast<size_t>(row / packing.per_word() * groups + group)] |=
          packing.put(code, row % packing.per_word());
    }
  out->push_back(plain_part("weight_zero_point", packed, StoredType::kI32, {packing.words(matrix.rows), groups}));
  return Status::ok();
}

}  // namespace

extern const QuantLayout kLayoutPackQuantized;
const QuantLayout kLayoutPackQuantized = {"pack-quantized",
                                          {{"weight_packed", "I32", true},
                                           {"weight_scale", "F32 F16 BF16", true},
                                           {"weight_shape", "I64 I32", true},
                                           {"weight_zero_point", "I32", false},
                                           {"weight_g_idx", "I32", false}},
                                          check,
                                          read,
                                          write};

}  // namespace espalier
