// Test-only export of the backend registry.
// SPDX-License-Identifier: Apache-2.0
#include "backend/registry.h"
#include "napi/testing/registry.h"

namespace espalier::testing {
namespace {

// { name } -> { name, why } of the table that find_backend gives; throws its refusal
Napi::Value test_find_backend(const Napi::CallbackInfo& info) {
  const Backend* table = nullptr;
  throw_if_error(info.Env(), find_backend(string_of(info[0].As<Napi::Object>(), "name"), &table));
  BackendProbe probe{};
  table->probe(&probe);
  Napi::Object out = Napi::Object::New(info.Env());
  out.Set("name", table->name);
  out.Set("why", probe.why);
  return out;
}
ESP_TEST_EXPORT(find_backend);

}  // namespace
}  // namespace espalier::testing
