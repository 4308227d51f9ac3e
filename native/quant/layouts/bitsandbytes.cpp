// Layout "bitsandbytes": nf4 and fp4, two codes a byte, the earlier one in the high nibble, flattened.
//   weight                   U8   [ceil(n / 2), 1]
//   weight.absmax            F32  [blocks], or U8 when nested
//   weight.quant_map         F32  [16]
//   weight.nested_absmax     F32  [ceil(blocks / 256)]      nested only
//   weight.nested_quant_map  F32  [256]                     nested only
//   weight.quant_state.bitsandbytes__nf4 (__fp4)  U8, JSON  block size, dtype and shape before quantization
// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <cmath>

#include "quant/layouts/layout_parts.h"
#include "quant/nf4.h"

namespace espalier {
namespace {

Block4Type block_type(CodeType type) { return type == CodeType::kNf4 ? Block4Type::kNf4 : Block4Type::kFp4; }

int64_t blocks_of(const QuantizedSource& source) {
  return static_cast<int64_t>(block4_blocks(static_cast<size_t>(source.rows * source.cols), source.grid.col_span));
}

bool is_nested(const QuantizedSource& source) { return source.part("weight.absmax")->type == StoredType::kU8; }

Status check(const QuantizedSource& source) {
  if (source.type != CodeType::kNf4 && source.type != CodeType::kFp4)
    return Status("ERR_QUANT_CONFIG", "bitsandbytes' 4-bit layout holds nf4 and fp4");
  const int64_t count = source.rows * source.cols, blocks = blocks_of(source);
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight", {(count + 1) / 2, 1}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight.absmax", {blocks}));
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight.quant_map", {16}));
  if (!is_nested(source)) return Status::ok();
  if (source.part("weight.nested_absmax") == nullptr) return part_error("weight.nested_absmax", "missing");
  ESP_RETURN_IF_ERROR(expect_shape(source, "weight.nested_quant_map", {256}));
  return expect_shape(source, "weight.nested_absmax", {(blocks + kNestedBlockSize - 1) / kNestedBlockSize});
}

// The maps say what the codes mean; only the published ones are known.
Status check_map(const StoredPart* part, const char* suffix, std::span<const float> expected) {
  if (part == nullptr) return Status::ok();
  std::vector<float> map;
  ESP_RETURN_IF_ERROR(read_floats(*part, &map));
  for (size_t i = 0; i < expected.size(); ++i)
    if (!(std::fabs(map[i] - expected[i]) <= 1e-6f))
      return part_error(suffix, format_text("value %zu is %g; expected %g", i, static_cast<double>(map[i]),
                                            static_cast<double>(expected[i])));
  return Status::ok();
}

Status read_absmax(const QuantizedSource& source, std::vector<float>* absmax) {
  if (!is_nested(source)) return read_floats(*source.part("weight.absmax"), absmax);
  std::vector<uint8_t> codes;
  std::vector<float> nested;
  ESP_RETURN_IF_ERROR(check_map(source.part("weight.nested_quant_map"), "weight.nested_quant_map", dynamic_map()));
  ESP_RETURN_IF_ERROR(read_whole(*source.part("weight.absmax"), &codes));
  ESP_RETURN_IF_ERROR(read_floats(*source.part("weight.nested_absmax"), &nested));
  absmax->resize(codes.size());
  return nested_absmax_dequantize(codes, nested, static_cast<float>(source.nested_offset), *absmax);
}

Status read(const QuantizedSource& source, int64_t row_begin, int64_t row_count, QuantizedMatrix* out) {
  ESP_RETURN_IF_ERROR(
      check_map(source.part("weight.quant_map"), "weight.quant_map", block4_values(block_type(source.type))));
  *out = QuantizedMatrix{};
  out->type = source.type;
  out->rows = row_count;
  out->cols = source.cols;
  const int64_t first = row_begin * source.cols, count = row_count * source.cols;
  const int64_t begin = first / 2, end = (first + count + 1) / 2;
  std::vector<uint8_t> bytes(static_cast<size_t>(end - begin));
  if (!bytes.empty()) ESP_RETURN_IF_ERROR(read_part(*source.part("weight"), begin, end - begin, bytes.data()));
  out->codes.resize(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    const int64_t at = first + i;
    const uint8_t byte = bytes[static_cast<size_t>(at / 2 - begin)];
    out->codes[static_cast<size_t>(i)] = at % 2 == 0 ? byte >> 4 : byte & 15;
  }
  std::vector<float> absmax;
  ESP_RETURN_IF_ERROR(read_absmax(source, &absmax));
  set_scales(source, absmax, {}, row_begin, row_count, out);
  return Status::ok();
}

// The shortest text that gives the same double, as Python writes it.
std::string number_text(double value) {
  char text[64];
  const auto end = std::to_chars(text, text + sizeof text, value).ptr;
  std::string out(text, end);
  return out.find_first_of(".en") == std::string::npos ? out + ".0" : out;
}

std::vector<uint8_t> state_json(const QuantizedMatrix& matrix, const WriteOptions& options, float offset) {
  std::string json =
      format_text(R"({"quant_type": "%s", "blocksize": %lld, "dtype": "%s", "shape": [%lld, %lld])",
                  code_type_info(matrix.type).name, static_cast<long long>(matrix.grid.col_span), options.source_dtype,
                  static_cast<long long>(matrix.rows), static_cast<long long>(matrix.cols));
  if (options.nested)
    json += R"(, "nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": )" +
            number_text(static_cast<double>(offset));
  json += "}";
  return {json.begin(), json.end()};
}

Status write_absmax(const QuantizedMatrix& matrix, bool nested, float* offset, std::vector<WrittenPart>* out) {
  const auto blocks = static_cast<int64_t>(matrix.scales.size());
  if (!nested) {
    out->push_back(plain_part("weight.absmax", matrix.scales, StoredType::kF32, {blocks}));
    return Status::ok();
  }
  std::vector<uint8_t> codes(matrix.scales.size());
  std::vector<float> second(block4_blocks(matrix.scales.size(), kNestedBlockSize));
  ESP_RETURN_IF_ERROR(nested_absmax_quantize(matrix.scales, codes, second, offset));
  const auto map = dynamic_map();
  out->push_back(plain_part("weight.absmax", codes, StoredType::kU8, {blocks}));
  out->push_back(plain_part("weight.nested_absmax", second, StoredType::kF32, {static_cast<int64_t>(second.size())}));
  out->push_back(
      plain_part("weight.nested_quant_map", std::vector<float>(map.begin(), map.end()), StoredType::kF32, {256}));
  return Status::ok();
}

Status write(const QuantizedMatrix& matrix, const WriteOptions& options, std::vector<WrittenPart>* out) {
  if ((matrix.type != CodeType::kNf4 && matrix.type != CodeType::kFp4) || !matrix.grid.across_rows)
    return Status("ERR_WEIGHT_FORMAT",
                  "bitsandbytes' 4-bit layout holds nf4 and fp4 in blocks of the flattened weight");
  const size_t count = matrix.codes.size();
  std::vector<uint8_t> bytes(block4_packed_bytes(count));
  for (size_t i = 0; i < count; ++i)
    bytes[i / 2] |= static_cast<uint8_t>(i % 2 == 0 ? matrix.codes[i] << 4 : matrix.codes[i]);
  if (count % 2 != 0) bytes.back() |= matrix.type == CodeType::kNf4 ? 7 : 0;
  std::vector<float> map;
  for (const float value : block4_values(block_type(matrix.type))) map.push_back(value + 0.0f);  // its maps have no -0
  out->push_back(plain_part("weight", bytes, StoredType::kU8, {static_cast<int64_t>(bytes.size()), 1}));
  float offset = 0;
  ESP_RETURN_IF_ERROR(write_absmax(matrix, options.nested, &offset, out));
  out->push_back(plain_part("weight.quant_map", map, StoredType::kF32, {16}));
  const std::vector<uint8_t> state = state_json(matrix, options, offset);
  const char* name =
      matrix.type == CodeType::kNf4 ? "weight.quant_state.bitsandbytes__nf4" : "weight.quant_state.bitsandbytes__fp4";
  out->push_back(plain_part(name, state, StoredType::kU8, {static_cast<int64_t>(state.size())}));
  return Status::ok();
}

}  // namespace

extern const QuantLayout kLayoutBitsandbytes;
const QuantLayout kLayoutBitsandbytes = {"bitsandbytes",
                                         {{"weight", "U8", true},
                                          {"weight.absmax", "F32 U8", true},
                                          {"weight.quant_map", "F32", true},
                                          {"weight.nested_absmax", "F32", false},
                                          {"weight.nested_quant_map", "F32", false},
                                          {"weight.quant_state.bitsandbytes__nf4", "U8", false},
                                          {"weight.quant_state.bitsandbytes__fp4", "U8", false}},
                                         check,
                                         read,
                                         write};

}  // namespace espalier
