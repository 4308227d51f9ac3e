// Test exports of the 8-bit floats.
// SPDX-License-Identifier: Apache-2.0
#include "quant/fp8.h"

#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

Fp8Type type_of(const Napi::Object& options) {
  return string_of(options, "type") == "e4m3" ? Fp8Type::kE4M3 : Fp8Type::kE5M2;
}

// { type: "e4m3" | "e5m2", codes: Uint8Array, out: Float32Array }
Napi::Value test_fp8_to_f32(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  throw_if_error(info.Env(), fp8_to_f32(type_of(o), span_of<uint8_t>(o, "codes"), span_of<float>(o, "out")));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(fp8_to_f32);

// { type, values: Float32Array, out: Uint8Array }
Napi::Value test_f32_to_fp8(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  throw_if_error(info.Env(), f32_to_fp8(type_of(o), span_of<float>(o, "values"), span_of<uint8_t>(o, "out")));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(f32_to_fp8);

}  // namespace
}  // namespace espalier::testing
