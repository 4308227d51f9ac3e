// Test exports of the number formats.
// SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "core/aligned_buffer.h"
#include "napi/testing/registry.h"
#include "quant/number_format.h"
#include "quant/weight_format.h"

namespace espalier::testing {
namespace {

const NumberFormat& format_of(const Napi::Object& o) {
  const NumberFormat* format = find_number_format(string_of(o, "format"));
  if (format == nullptr) throw to_js_error(o.Env(), Status("ERR_ARGUMENT", "format: one of " + number_format_names()));
  return *format;
}

QuantizeOptions options_of(const Napi::Object& o) {
  QuantizeOptions options;
  options.symmetric = bool_of(o, "symmetric", true);
  options.group = int_of(o, "group", -1);
  options.block_rows = int_of(o, "blockRows");
  options.block_cols = int_of(o, "blockCols");
  options.percentile = number_of(o, "percentile", 0.9999);
  options.integer_zeros = bool_of(o, "integerZeros", true);
  options.scale_type = static_cast<ScaleType>(int_of(o, "scaleType"));
  const std::string method = string_of(o, "method", "max");
  options.method = method == "percentile" ? RangeMethod::kPercentile
                   : method == "mse"      ? RangeMethod::kMse
                   : method == "hqq"      ? RangeMethod::kHqq
                                          : RangeMethod::kMax;
  return options;
}

Status pack_quantized(const std::string& id, const QuantizedMatrix& matrix, ThreadPool* pool,
                      std::vector<uint8_t>* out) {
  const WeightFormat* format = find_weight_format(id);
  if (format == nullptr || format->pack_quantized == nullptr)
    return Status("ERR_WEIGHT_FORMAT", "format " + id + " takes no quantized weights");
  AlignedBuffer buffer;
  out->resize(format->packed_bytes(matrix.rows, matrix.cols));
  ESP_RETURN_IF_ERROR(buffer.reserve(out->size()));
  ESP_RETURN_IF_ERROR(format->pack_quantized(matrix, buffer.as<void>(), pool));
  std::memcpy(out->data(), buffer.as<void>(), out->size());
  return Status::ok();
}

template <typename Array, typename Values>
Array array_of(Napi::Env env, const Values& values) {
  Array out = Array::New(env, values.size());
  if (!values.empty()) std::memcpy(out.Data(), values.data(), values.size() * sizeof(values[0]));
  return out;
}

// { format, w, rows, cols, isa, threads, symmetric?, group?, blockRows?, blockCols?, method?, percentile?, scaleType? }
// -> { codes, scales, zeros, globalScale, dequantized, squaredError, squaredSum }
Napi::Value test_quantize_matrix(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const CpuContext context = context_of(o);
  const float* w = data_of<float>(o, "w");
  QuantizedMatrix matrix;
  throw_if_error(info.Env(), quantize_matrix(format_of(o), options_of(o), w, int_of(o, "rows"), int_of(o, "cols"),
                                             context.isa, context.pool, &matrix));
  std::vector<float> values(matrix.codes.size());
  dequantize_rows(matrix, 0, matrix.rows, values.data());
  const QuantizationError error = quantization_error(matrix, w, context.pool);
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("codes", array_of<Napi::Uint8Array>(info.Env(), matrix.codes));
  out.Set("scales", array_of<Napi::Float32Array>(info.Env(), matrix.scales));
  out.Set("zeros", array_of<Napi::Float32Array>(info.Env(), matrix.zeros));
  out.Set("globalScale", matrix.global_scale);
  out.Set("dequantized", array_of<Napi::Float32Array>(info.Env(), values));
  out.Set("squaredError", error.squared_error);
  out.Set("squaredSum", error.squared_sum);
  return out;
}
ESP_TEST_EXPORT(quantize_matrix);

// As quantize_matrix, `to`: a weight format, and inputScale? -> packed Uint8Array
Napi::Value test_pack_quantized(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const CpuContext context = context_of(o);
  QuantizedMatrix matrix;
  throw_if_error(info.Env(), quantize_matrix(format_of(o), options_of(o), data_of<float>(o, "w"), int_of(o, "rows"),
                                             int_of(o, "cols"), context.isa, context.pool, &matrix));
  matrix.input_scale = static_cast<float>(number_of(o, "inputScale", 0));
  std::vector<uint8_t> packed;
  throw_if_error(info.Env(), pack_quantized(string_of(o, "to"), matrix, context.pool, &packed));
  return array_of<Napi::Uint8Array>(info.Env(), packed);
}
ESP_TEST_EXPORT(pack_quantized);

// () -> [{ id, type, bits, group, values: Float32Array }]
Napi::Value test_number_formats(const Napi::CallbackInfo& info) {
  Napi::Array list = Napi::Array::New(info.Env());
  for (const NumberFormat* format : number_formats()) {
    Napi::Object row = Napi::Object::New(info.Env());
    const auto values = code_values(format->type);
    row.Set("id", format->id);
    row.Set("type", code_type_info(format->type).name);
    row.Set("bits", code_type_info(format->type).bits);
    row.Set("group", static_cast<double>(format->group));
    row.Set("values", array_of<Napi::Float32Array>(info.Env(), std::vector<float>(values.begin(), values.end())));
    list.Set(list.Length(), row);
  }
  return list;
}
ESP_TEST_EXPORT(number_formats);

}  // namespace
}  // namespace espalier::testing
