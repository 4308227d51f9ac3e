// Layouts of compressed-tensors for 4-bit floats, two codes a byte, the even column in the low nibble:
//   nvfp4-pack-quantized  weight_packed U8 [rows, cols / 2], weight_scale F8_E4M3 [rows, cols / 16],
//                         weight_global_scale F32 [1]; weight = value * (scale / global)
//   mxfp4-pack-quantized  weight_packed, weight_scale U8 [rows, cols / 32]: exponents, 127 more than they are
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "quant/fp8.h"
#include "quant/layouts/layout_parts.h"

namespace espalier {
namespace {

Status check(const QuantizedSource& source) {
  if (source.type != CodeType::kE2M1) return Status("ERR_QUANT_CONFIG", "4-bit floats have codes e2m1");
  const int64_t span = source.grid.col_span;
  if (source.cols % 2 != 0 || source.cols % span != 0)
    return Status("ERR_QUANT_GROUP_SIZE",
                  format_text("groups of %lld do not divide %lld columns", static_cast<long long>(span),
                              static_cast<long long>(source.cols)));
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight_packed", {source.rows, source.cols / 2}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight_scale", {source.rows, source.cols / span}));
  return expect_shape(source, "weight_global_scale", {1});
}

Status read_codes(const QuantizedSource& source, int64_t row_begin, int64_t row_count, QuantizedMatrix* out) {
  *out = QuantizedMatrix{};
  out->type = source.type;
  out->rows = row_count;
  out->cols = source.cols;
  const int64_t row_bytes = source.cols / 2;
  std::vector<uint8_t> bytes(static_cast<size_t>(row_count * row_bytes));
  if (!bytes.empty())
    ESP_RETURN_IF_ERROR(
        read_part(*source.part("weight_packed"), row_begin * row_bytes, row_count * row_bytes, bytes.data()));
  out->codes.resize(bytes.size() * 2);
  for (size_t i = 0; i < bytes.size(); ++i) {
    out->codes[2 * i] = bytes[i] & 15;
    out->codes[2 * i + 1] = bytes[i] >> 4;
  }
  return Status::ok();
}

Status read_nvfp4(const QuantizedSource& source, int64_t row_begin, int64_t row_count, QuantizedMatrix* out) {
  ESP_RETURN_IF_ERROR(read_codes(source, row_begin, row_count, out));
  std::vector<float> scales, global;
  ESP_RETURN_IF_ERROR(read_floats(*source.part("weight_scale"), &scales));
  ESP_RETURN_IF_ERROR(read_floats(*source.part("weight_global_scale"), &global));
  if (!(global[0] > 0 && std::isfinite(global[0])))
    return part_error("weight_global_scale",
                      format_text("expected a positive value, found %g", static_cast<double>(global[0])));
  out->global_scale = global[0];
  for (float& scale : scales) scale /= global[0];
  set_scales(source, scales, {}, row_begin, row_count, out);
  return Status::ok();
}

Status read_mxfp4(const QuantizedSource& source, int64_t row_begin, int64_t row_count, QuantizedMatrix* out) {
  ESP_RETURN_IF_ERROR(read_codes(source, row_begin, row_count, out));
  std::vector<float> scales;
  ESP_RETURN_IF_ERROR(read_floats(*source.part("weight_scale"), &scales));
  set_scales(source, scales, {}, row_begin, row_count, out);
  return Status::ok();
}

Status write_codes(const QuantizedMatrix& matrix, std::vector<WrittenPart>* out) {
  if (matrix.type != CodeType::kE2M1 || matrix.cols % 2 != 0)
    return Status("ERR_WEIGHT_FORMAT", "layouts of 4-bit floats hold e2m1 codes in an even number of columns");
  std::vector<uint8_t> bytes(matrix.codes.size() / 2);
  for (size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<uint8_t>(matrix.codes[2 * i] | matrix.codes[2 * i + 1] << 4);
  out->push_back(plain_part("weight_packed", bytes, StoredType::kU8, {matrix.rows, matrix.cols / 2}));
  return Status::ok();
}

Status write_nvfp4(const QuantizedMatrix& matrix, const WriteOptions&, std::vector<WrittenPart>* out) {
  ESP_RETURN_IF_ERROR(write_codes(matrix, out));
  std::vector<uint8_t> scales;
  for (const float scale : matrix.scales) scales.push_back(f32_to_fp8_e4m3(scale * matrix.global_scale));
  out->push_back(plain_part("weight_scale", scales, StoredType::kE4M3, {matrix.rows, matrix.scale_cols()}));
  out->push_back(plain_part("weight_global_scale", std::vector<float>{matrix.global_scale}, StoredType::kF32, {1}));
  return Status::ok();
}

Status write_mxfp4(const QuantizedMatrix& matrix, const WriteOptions&, std::vector<WrittenPart>* out) {
  ESP_RETURN_IF_ERROR(write_codes(matrix, out));
  std::vector<uint8_t> scales;
  for (const float scale : matrix.scales) scales.push_back(static_cast<uint8_t>(std::ilogb(scale) + 127));
  out->push_back(plain_part("weight_scale", scales, StoredType::kU8, {matrix.rows, matrix.scale_cols()}));
  return Status::ok();
}

}  // namespace

extern const QuantLayout kLayoutNvFp4, kLayoutMxFp4;
const QuantLayout kLayoutNvFp4 = {"nvfp4-pack-quantized",
                                  {{"weight_packed", "U8", true},
                                   {"weight_scale", "F8_E4M3", true},
                                   {"weight_global_scale", "F32", true},
                                   {"input_global_scale", "F32", false}},
                                  check,
                                  read_nvfp4,
                                  write_nvfp4};
const QuantLayout kLayoutMxFp4 = {"mxfp4-pack-quantized",
                                  {{"weight_packed", "U8", true}, {"weight_scale", "U8 F8_E8M0", true}},
                                  check,
                                  read_mxfp4,
                                  write_mxfp4};

}  // namespace espalier
