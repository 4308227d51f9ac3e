// Test exports of bitsandbytes' 4-bit types.
// SPDX-License-Identifier: Apache-2.0
#include "quant/nf4.h"

#include <algorithm>

#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

Block4Type type_of(const Napi::Object& options) {
  return string_of(options, "type") == "nf4" ? Block4Type::kNf4 : Block4Type::kFp4;
}

// { type: "nf4" | "fp4", values: Float32Array, blockSize, packed: Uint8Array, absmax: Float32Array }
Napi::Value test_block4_quantize(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  throw_if_error(info.Env(), block4_quantize(type_of(o), span_of<float>(o, "values"), int_of(o, "blockSize"),
                                             span_of<uint8_t>(o, "packed"), span_of<float>(o, "absmax")));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(block4_quantize);

// { type, packed, absmax, blockSize, out: Float32Array }
Napi::Value test_block4_dequantize(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  throw_if_error(info.Env(), block4_dequantize(type_of(o), span_of<uint8_t>(o, "packed"), span_of<float>(o, "absmax"),
                                               int_of(o, "blockSize"), span_of<float>(o, "out")));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(block4_dequantize);

// { values: Float32Array(16) of `type`, map: Float32Array(256) }: filled with the tables
Napi::Value test_block4_tables(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  std::ranges::copy(block4_values(type_of(o)), data_of<float>(o, "values"));
  std::ranges::copy(dynamic_map(), data_of<float>(o, "map"));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(block4_tables);

// { absmax: Float32Array, codes: Uint8Array, nested: Float32Array } -> offset
Napi::Value test_nested_absmax_quantize(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  float offset = 0;
  throw_if_error(info.Env(), nested_absmax_quantize(span_of<float>(o, "absmax"), span_of<uint8_t>(o, "codes"),
                                                    span_of<float>(o, "nested"), &offset));
  return Napi::Number::New(info.Env(), offset);
}
ESP_TEST_EXPORT(nested_absmax_quantize);

// { codes, nested, offset, out: Float32Array }
Napi::Value test_nested_absmax_dequantize(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const float offset = static_cast<float>(number_of(o, "offset"));
  throw_if_error(info.Env(), nested_absmax_dequantize(span_of<uint8_t>(o, "codes"), span_of<float>(o, "nested"), offset,
                                                      span_of<float>(o, "out")));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(nested_absmax_dequantize);

}  // namespace
}  // namespace espalier::testing
