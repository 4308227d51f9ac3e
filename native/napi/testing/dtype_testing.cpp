// Exhaustive float-conversion checks want millions of calls: whole arrays cross at once.
// SPDX-License-Identifier: Apache-2.0
#include "core/dtype.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { from: "f16", source: typed array, out: Float32Array, count }
Napi::Value test_convert_to_f32(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const DTypeInfo* from = dtype_by_name(string_of(options, "from").c_str());
  const bool done = from != nullptr && convert_to_f32(from->dtype, data_of<void>(options, "source"),
                                                      data_of<float>(options, "out"), int_of(options, "count"));
  return Napi::Boolean::New(info.Env(), done);
}
ESP_TEST_EXPORT(convert_to_f32);

// { to: "f16", source: Float32Array, out: typed array, count }
Napi::Value test_convert_from_f32(const Napi::CallbackInfo& info) {
  const Napi::Object options = info[0].As<Napi::Object>();
  const DTypeInfo* to = dtype_by_name(string_of(options, "to").c_str());
  const bool done = to != nullptr && convert_from_f32(to->dtype, data_of<float>(options, "source"),
                                                      data_of<void>(options, "out"), int_of(options, "count"));
  return Napi::Boolean::New(info.Env(), done);
}
ESP_TEST_EXPORT(convert_from_f32);

}  // namespace
}  // namespace espalier::testing
