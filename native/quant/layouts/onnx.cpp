// SPDX-License-Identifier: Apache-2.0
#include "quant/layouts/onnx.h"

#include <algorithm>
#include <cfloat>
#include <cmath>

#include "core/dtype.h"
#include "quant/layouts/layout_parts.h"

namespace espalier {
namespace {

Status unfit(const std::string& why) { return Status("ERR_WEIGHT_FORMAT", "ONNX: " + why); }

Status check_form(const QuantizedMatrix& matrix) {
  const CodeTypeInfo& info = code_type_info(matrix.type);
  const bool known =
      matrix.type == CodeType::kInt8 || matrix.type == CodeType::kInt4 || matrix.type == CodeType::kFp8E4M3;
  if (!known) return unfit(std::string("no type for codes of ") + info.name);
  if (matrix.grid.across_rows) return unfit("no scales for runs of weights across rows");
  if (!matrix.column_groups.empty()) return unfit("no groups of columns in another order than their own");
  return Status::ok();
}

float as_stored(float scale, StoredType type) {
  if (type == StoredType::kF16) return f16_to_f32(f32_to_f16(scale));
  return type == StoredType::kBF16 ? bf16_to_f32(f32_to_bf16(scale)) : scale;
}

// Scales keep bf16's precision at least, and products with codes are finite in the type that is computed in.
Status check_scales(const QuantizedMatrix& matrix, StoredType type) {
  const float largest = type == StoredType::kF16 ? 65504.0f : FLT_MAX;
  float least = 0, most = 0;
  for (const float value : code_values(matrix.type)) {
    if (!std::isfinite(value)) continue;
    least = std::min(least, value);
    most = std::max(most, value);
  }
  for (size_t i = 0; i < matrix.scales.size(); ++i) {
    const float scale = matrix.scales[i], stored = as_stored(scale, type), zero = matrix.zero(i);
    const bool precise = std::fabs(stored - scale) <= std::fabs(scale) * (1.0f / 256);
    const float extreme = std::max(zero - least, most - zero) * std::fabs(stored);
    if (!precise || !(extreme <= largest))
      return unfit(format_text("scale %zu is %g, which %s cannot hold or multiply with all codes", i,
                               static_cast<double>(scale), stored_type_info(type).name));
  }
  return Status::ok();
}

// in [rows, cols] bytes -> out [cols, rows], in tiles that stay in the nearest cache.
void transpose(const uint8_t* in, int64_t rows, int64_t cols, uint8_t* out) {
  constexpr int64_t kTile = 64;
  for (int64_t row_begin = 0; row_begin < rows; row_begin += kTile)
    for (int64_t col_begin = 0; col_begin < cols; col_begin += kTile) {
      const int64_t row_end = std::min(rows, row_begin + kTile), col_end = std::min(cols, col_begin + kTile);
      for (int64_t col = col_begin; col < col_end; ++col)
        for (int64_t row = row_begin; row < row_end; ++row) out[col * rows + row] = in[row * cols + col];
    }
}

// The low halves of bytes, two in a byte; `flip` turns a bit of each.
CodeVector pack_halves(const CodeVector& codes, uint8_t flip) {
  CodeVector out((codes.size() + 1) / 2);
  const auto half = [&](size_t i) { return i < codes.size() ? (codes[i] ^ flip) & 15 : 0; };
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(half(2 * i) | half(2 * i + 1) << 4);
  return out;
}

WrittenPart codes_part(const QuantizedMatrix& matrix) {
  CodeVector turned(matrix.codes.size());
  transpose(matrix.codes.data(), matrix.rows, matrix.cols, turned.data());
  if (matrix.type != CodeType::kInt4) {
    const StoredType type = matrix.type == CodeType::kInt8 ? StoredType::kI8 : StoredType::kE4M3;
    return {"quantized", type, {matrix.cols, matrix.rows}, std::move(turned)};
  }
  // A code of int4 is its value + 8: with that bit turned it is in two's complement.
  CodeVector packed = pack_halves(turned, 8);
  const auto bytes = static_cast<int64_t>(packed.size());
  return {"quantized", StoredType::kU8, {bytes}, std::move(packed)};
}

}  // namespace

Status write_onnx_weight(const QuantizedMatrix& matrix, const WriteOptions& options, std::vector<WrittenPart>* out) {
  ESP_RETURN_IF_ERROR(check_form(matrix));
  ESP_RETURN_IF_ERROR(check_scales(matrix, options.scale_type));
  const int64_t groups = matrix.scale_cols();
  const bool four_bits = matrix.type == CodeType::kInt4;
  std::vector<int8_t> stored_zeros;
  ESP_RETURN_IF_ERROR(whole_zeros(matrix, four_bits ? -8 : -128, four_bits ? 7 : 127, &stored_zeros));
  std::vector<float> scales(static_cast<size_t>(groups * matrix.rows));
  CodeVector zeros(stored_zeros.empty() ? 0 : scales.size());
  for (int64_t row = 0; row < matrix.rows; ++row)
    for (int64_t group = 0; group < groups; ++group) {
      const size_t from = matrix.scale_index(row, group * matrix.grid.col_span);
      const auto to = static_cast<size_t>(group * matrix.rows + row);
      scales[to] = matrix.scales[from];
      if (!zeros.empty()) zeros[to] = static_cast<uint8_t>(stored_zeros[from]);
    }
  const std::vector<int64_t> shape =
      groups == 1 ? std::vector<int64_t>{matrix.rows} : std::vector<int64_t>{groups, matrix.rows};
  out->push_back(codes_part(matrix));
  out->push_back(float_part("scale", scales, options.scale_type, shape));
  if (std::all_of(zeros.begin(), zeros.end(), [](uint8_t zero) { return zero == 0; })) return Status::ok();
  if (!four_bits) {
    out->push_back({"zero_point", StoredType::kI8, shape, std::move(zeros)});
    return Status::ok();
  }
  CodeVector packed = pack_halves(zeros, 0);
  const auto bytes = static_cast<int64_t>(packed.size());
  out->push_back({"zero_point", StoredType::kU8, {bytes}, std::move(packed)});
  return Status::ok();
}

}  // namespace espalier
