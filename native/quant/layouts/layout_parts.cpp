// SPDX-License-Identifier: Apache-2.0
#include "quant/layouts/layout_parts.h"

#include <cmath>
#include <numeric>

#include "core/dtype.h"
#include "quant/fp8.h"

namespace espalier {
namespace {

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  return text + "]";
}

// [n, 1] and [1] as [n] and [].
std::vector<int64_t> without_ones(const std::vector<int64_t>& shape) {
  std::vector<int64_t> out;
  for (const int64_t size : shape)
    if (size != 1) out.push_back(size);
  return out;
}

float e8m0_to_f32(uint8_t code) { return code == 255 ? std::nanf("") : std::ldexp(1.0f, static_cast<int>(code) - 127); }

float float_of(StoredType type, const uint8_t* bytes) {
  uint16_t half = 0;
  float value = 0;
  switch (type) {
    case StoredType::kF32:
      std::memcpy(&value, bytes, 4);
      return value;
    case StoredType::kF16:
      std::memcpy(&half, bytes, 2);
      return f16_to_f32(half);
    case StoredType::kBF16:
      std::memcpy(&half, bytes, 2);
      return bf16_to_f32(half);
    case StoredType::kE4M3:
      return fp8_e4m3_to_f32(*bytes);
    default:  // U8 or F8_E8M0: an exponent
      return e8m0_to_f32(*bytes);
  }
}

}  // namespace

Status part_error(const char* suffix, const std::string& what) {
  return Status("ERR_QUANT_PARTS", std::string(suffix) + ": " + what);
}

Status expect_shape(const QuantizedSource& source, const char* suffix, const std::vector<int64_t>& shape) {
  const StoredPart* part = source.part(suffix);
  if (part == nullptr || without_ones(part->shape) == without_ones(shape)) return Status::ok();
  return part_error(suffix, "expected " + shape_text(shape) + ", found " + shape_text(part->shape));
}

Status read_part(const StoredPart& part, int64_t first, int64_t count, void* out) {
  const int64_t bytes = stored_type_info(part.type).bytes;
  return part.file->read(part.offset + static_cast<uint64_t>(first * bytes), static_cast<uint64_t>(count * bytes), out);
}

Status read_whole(const StoredPart& part, std::vector<uint8_t>* out) {
  out->resize(part.size_bytes);
  return out->empty() ? Status::ok() : part.file->read(part.offset, part.size_bytes, out->data());
}

Status read_words(const StoredPart& part, std::vector<uint32_t>* out) {
  out->resize(part.size_bytes / 4);
  return out->empty() ? Status::ok() : part.file->read(part.offset, out->size() * 4, out->data());
}

Status read_floats(const StoredPart& part, std::vector<float>* out) {
  std::vector<uint8_t> bytes;
  ESP_RETURN_IF_ERROR(read_whole(part, &bytes));
  const auto size = static_cast<size_t>(stored_type_info(part.type).bytes);
  out->resize(bytes.size() / size);
  for (size_t i = 0; i < out->size(); ++i) (*out)[i] = float_of(part.type, bytes.data() + i * size);
  return Status::ok();
}

void set_scales(const QuantizedSource& source, const std::vector<float>& scales, const std::vector<float>& zeros,
                int64_t row_begin, int64_t row_count, QuantizedMatrix* out) {
  out->grid = source.grid;
  if (row_count == source.rows) {
    out->scales = scales;
    out->zeros = zeros;
    return;
  }
  // A part: every row gets scales of its own. Runs of a flattened matrix begin anywhere in a row, but never between
  // multiples of the common divisor.
  QuantizedMatrix whole;
  whole.rows = source.rows;
  whole.cols = source.cols;
  whole.grid = source.grid;
  const int64_t span = source.grid.across_rows ? std::gcd(source.cols, source.grid.col_span) : source.grid.col_span;
  out->grid = {1, span, false};
  out->scales.resize(static_cast<size_t>(row_count * out->scale_cols()));
  if (!zeros.empty()) out->zeros.resize(out->scales.size());
  size_t at = 0;
  for (int64_t row = row_begin; row < row_begin + row_count; ++row)
    for (int64_t col = 0; col < source.cols; col += span, ++at) {
      const size_t index = whole.scale_index(row, col);
      out->scales[at] = scales[index];
      if (!zeros.empty()) out->zeros[at] = zeros[index];
    }
}

WrittenPart float_part(const char* suffix, const std::vector<float>& values, StoredType type,
                       std::vector<int64_t> shape) {
  if (type == StoredType::kU8) {
    std::vector<uint8_t> exponents;
    for (const float value : values) exponents.push_back(static_cast<uint8_t>(std::ilogb(value) + 127));
    return plain_part(suffix, exponents, type, std::move(shape));
  }
  if (type == StoredType::kF32) return plain_part(suffix, values, type, std::move(shape));
  std::vector<uint16_t> halves(values.size());
  for (size_t i = 0; i < values.size(); ++i)
    halves[i] = type == StoredType::kF16 ? f32_to_f16(values[i]) : f32_to_bf16(values[i]);
  return plain_part(suffix, halves, type, std::move(shape));
}

Status whole_zeros(const QuantizedMatrix& matrix, int least, int most, std::vector<int8_t>* out) {
  out->resize(matrix.zeros.size());
  for (size_t i = 0; i < matrix.zeros.size(); ++i) {
    const float zero = matrix.zeros[i];
    if (zero != std::nearbyint(zero) || zero < static_cast<float>(least) || zero > static_cast<float>(most))
      return Status("ERR_WEIGHT_FORMAT",
                    format_text("zero point %zu is %g; the layout holds whole numbers from %d to %d", i,
                                static_cast<double>(zero), least, most));
    (*out)[i] = static_cast<int8_t>(zero);
  }
  return Status::ok();
}

}  // namespace espalier
