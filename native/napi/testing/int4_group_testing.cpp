// Test exports of int4 in groups.
// SPDX-License-Identifier: Apache-2.0
#include "quant/int4_group.h"

#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

Int4Shape shape_of(const Napi::Object& o) { return {int_of(o, "rows"), int_of(o, "cols"), int_of(o, "groupSize")}; }

// { rows, cols, groupSize, w: Float32Array, scales: Float32Array, zeroPoints?: Int8Array }
Napi::Value test_int4_group_ranges(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  throw_if_error(info.Env(), int4_group_ranges(shape_of(o), span_of<float>(o, "w"), span_of<float>(o, "scales"),
                                               span_of<int8_t>(o, "zeroPoints")));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(int4_group_ranges);

// { rows, cols, groupSize, w, scales, zeroPoints?, q: Int8Array }
Napi::Value test_int4_group_quantize(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  throw_if_error(info.Env(), int4_group_quantize(shape_of(o), span_of<float>(o, "w"), span_of<float>(o, "scales"),
                                                 span_of<int8_t>(o, "zeroPoints"), span_of<int8_t>(o, "q")));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(int4_group_quantize);

// { rows, cols, groupSize, q, scales, zeroPoints?, out: Float32Array }
Napi::Value test_int4_group_dequantize(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  throw_if_error(info.Env(), int4_group_dequantize(shape_of(o), span_of<int8_t>(o, "q"), span_of<float>(o, "scales"),
                                                   span_of<int8_t>(o, "zeroPoints"), span_of<float>(o, "out")));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(int4_group_dequantize);

// { rows, cols, q: Int8Array, words: Uint32Array, columns: whether to pack along dimension 0 }
Napi::Value test_int4_pack(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const auto pack = bool_of(o, "columns") ? int4_pack_columns : int4_pack_rows;
  throw_if_error(info.Env(),
                 pack(span_of<int8_t>(o, "q"), int_of(o, "rows"), int_of(o, "cols"), span_of<uint32_t>(o, "words")));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(int4_pack);

// The same options; fills q.
Napi::Value test_int4_unpack(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const auto unpack = bool_of(o, "columns") ? int4_unpack_columns : int4_unpack_rows;
  throw_if_error(info.Env(),
                 unpack(span_of<uint32_t>(o, "words"), int_of(o, "rows"), int_of(o, "cols"), span_of<int8_t>(o, "q")));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(int4_unpack);

}  // namespace
}  // namespace espalier::testing
