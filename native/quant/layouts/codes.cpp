// Layout "codes": a byte a weight, compressed-tensors' int-quantized, float-quantized and naive-quantized.
//   weight             I8 or F8  [rows, cols]
//   weight_scale       float (U8: an exponent, mxfp8)  [1], [rows, 1], [rows, groups] or [blocks down, blocks across]
//   weight_zero_point  I8        as the scale; asymmetric only
//   input_scale        float     [1] or []: of the layer's input, known beforehand; activations need none otherwise
//   input_zero_point   I8        as input_scale, all 0: inputs are quantized symmetrically
// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "quant/layouts/layout_parts.h"

namespace espalier {
namespace {

StoredType stored_type_of(CodeType type) {
  return type == CodeType::kFp8E4M3   ? StoredType::kE4M3
         : type == CodeType::kFp8E5M2 ? StoredType::kE5M2
                                      : StoredType::kI8;
}

// compressed-tensors writes [1] for a tensor and [rows, 1] for channels.
std::vector<int64_t> scale_shape(const QuantizedMatrix& matrix) {
  if (matrix.scale_rows() == 1 && matrix.scale_cols() == 1 && matrix.rows != 1) return {1};
  return {matrix.scale_rows(), matrix.scale_cols()};
}

QuantizedMatrix sizes_of(const QuantizedSource& source) {
  QuantizedMatrix matrix;
  matrix.type = source.type;
  matrix.rows = source.rows;
  matrix.cols = source.cols;
  matrix.grid = source.grid;
  return matrix;
}

Status check(const QuantizedSource& source) {
  const StoredPart& weight = *source.part("weight");
  if (weight.type != stored_type_of(source.type))
    return part_error("weight", std::string("expected ") + stored_type_info(stored_type_of(source.type)).name +
                                    ", found " + stored_type_info(weight.type).name);
  if (source.zeros && source.part("weight_zero_point") == nullptr) return part_error("weight_zero_point", "missing");
  const QuantizedMatrix matrix = sizes_of(source);
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight", {source.rows, source.cols}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight_scale", {matrix.scale_rows(), matrix.scale_cols()}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight_zero_point", {matrix.scale_rows(), matrix.scale_cols()}));
  for (const char* suffix : {"input_scale", "input_zero_point"})
    if (const StoredPart* part = source.part(suffix); part != nullptr && part->elements() != 1)
      return part_error(suffix, format_text("expected one value for the whole input, found %lld",
                                            static_cast<long long>(part->elements())));
  return Status::ok();
}

// ERR_QUANT_SCALE for what cannot scale anything: a model is opened before that would show in its results.
Status read_input_scale(const QuantizedSource& source, float* scale) {
  const StoredPart* part = source.part("input_scale");
  if (part == nullptr) return Status::ok();
  std::vector<float> values;
  ESP_RETURN_IF_ERROR(read_floats(*part, &values));
  *scale = values[0];
  if (const StoredPart* zero = source.part("input_zero_point"); zero != nullptr) {
    std::vector<uint8_t> bytes;
    ESP_RETURN_IF_ERROR(read_whole(*zero, &bytes));
    if (bytes[0] != 0)
      return Status("ERR_QUANT_SCALE", format_text("input_zero_point is %d; inputs are quantized symmetrically, with 0",
                                                   static_cast<int8_t>(bytes[0])));
  }
  if (std::isfinite(*scale) && *scale > 0) return Status::ok();
  return Status("ERR_QUANT_SCALE",
                format_text("input_scale is %g; expected a finite value above 0", static_cast<double>(*scale)));
}

Status read(const QuantizedSource& source, int64_t row_begin, int64_t row_count, QuantizedMatrix* out) {
  *out = sizes_of(source);
  out->rows = row_count;
  out->codes.resize(static_cast<size_t>(row_count * source.cols));
  ESP_RETURN_IF_ERROR(
      read_part(*source.part("weight"), row_begin * source.cols, row_count * source.cols, out->codes.data()));
  std::vector<float> scales, zeros;
  ESP_RETURN_IF_ERROR(read_floats(*source.part("weight_scale"), &scales));
  if (const StoredPart* part = source.part("weight_zero_point"); part != nullptr) {
    std::vector<uint8_t> bytes;
    ESP_RETURN_IF_ERROR(read_whole(*part, &bytes));
    for (const uint8_t byte : bytes) zeros.push_back(static_cast<float>(static_cast<int8_t>(byte)));
  }
  set_scales(source, scales, zeros, row_begin, row_count, out);
  return read_input_scale(source, &out->input_scale);
}

Status write(const QuantizedMatrix& matrix, const WriteOptions& options, std::vector<WrittenPart>* out) {
  if (code_type_info(matrix.type).bits != 8)
    return Status("ERR_WEIGHT_FORMAT",
                  std::string("layout codes holds 8 bits, not ") + code_type_info(matrix.type).name);
  out->push_back(plain_part("weight", matrix.codes, stored_type_of(matrix.type), {matrix.rows, matrix.cols}));
  out->push_back(float_part("weight_scale", matrix.scales, options.scale_type, scale_shape(matrix)));
  if (matrix.zeros.empty()) return Status::ok();
  std::vector<int8_t> zeros;
  ESP_RETURN_IF_ERROR(whole_zeros(matrix, -128, 127, &zeros));
  out->push_back(plain_part("weight_zero_point", zeros, StoredType::kI8, scale_shape(matrix)));
  return Status::ok();
}

}  // namespace

extern const QuantLayout kLayoutCodes;
const QuantLayout kLayoutCodes = {"codes",
                                  {{"weight", "I8 F8_E4M3 F8_E5M2", true},
                                   {"weight_scale", "F32 F16 BF16 U8", true},
                                   {"weight_zero_point", "I8", false},
                                   {"input_scale", "F32 F16 BF16", false},
                                   {"input_zero_point", "I8", false}},
                                  check,
                                  read,
                                  write};

}  // namespace espalier
