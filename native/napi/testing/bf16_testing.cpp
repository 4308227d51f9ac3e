// Test exports of bf16.
// SPDX-License-Identifier: Apache-2.0
#include "kernels/bf16/bf16.h"

#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { x: Float32Array, out: Uint16Array, count, isa, threads, reference }
Napi::Value test_bf16_pack(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const float* x = data_of<float>(o, "x");
  uint16_t* out = data_of<uint16_t>(o, "out");
  const int64_t count = int_of(o, "count");
  throw_if_error(info.Env(),
                 bool_of(o, "reference") ? bf16_pack_ref(x, out, count) : bf16_pack(context_of(o), x, out, count));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(bf16_pack);

// { x: Uint16Array, out: Float32Array, count, isa, threads, reference }
Napi::Value test_bf16_unpack(const Napi::CallbackInfo& info) {
  const Napi::Object o = info[0].As<Napi::Object>();
  const uint16_t* x = data_of<uint16_t>(o, "x");
  float* out = data_of<float>(o, "out");
  const int64_t count = int_of(o, "count");
  throw_if_error(info.Env(),
                 bool_of(o, "reference") ? bf16_unpack_ref(x, out, count) : bf16_unpack(context_of(o), x, out, count));
  return info.Env().Undefined();
}
ESP_TEST_EXPORT(bf16_unpack);

}  // namespace
}  // namespace espalier::testing
