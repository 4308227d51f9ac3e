// Test-only exports: every file of napi/testing adds its functions to `binding.testing` with ESP_TEST_EXPORT.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <span>
#include <string>
#include <vector>

#include "core/thread_pool.h"
#include "kernels/cpu_context.h"
#include "napi/guard.h"

namespace espalier::testing {

using TestFunction = Napi::Value (*)(const Napi::CallbackInfo&);

struct TestExport {
  TestExport(const char* name, TestFunction function);
};

Napi::Object make_exports(Napi::Env env);

// A pool of `threads` threads, made on first use and kept.
ThreadPool* shared_pool(int threads = 2);
// { isa: "avx2", threads: 2 } of an options object -> context; throws ERR_ISA when this machine cannot run it.
CpuContext context_of(const Napi::Object& options);

// Pointer into a Float32Array / Int32Array / Uint8Array ... property; nullptr when the property is absent or null.
template <typename T>
T* data_of(const Napi::Object& options, const char* key) {
  Napi::Value value = options.Get(key);
  if (value.IsUndefined() || value.IsNull()) return nullptr;
  Napi::TypedArray array = value.As<Napi::TypedArray>();
  return reinterpret_cast<T*>(static_cast<char*>(array.ArrayBuffer().Data()) + array.ByteOffset());
}
// The whole array; empty when the property is absent or null.
template <typename T>
std::span<T> span_of(const Napi::Object& options, const char* key) {
  T* data = data_of<T>(options, key);
  if (data == nullptr) return {};
  return {data, options.Get(key).As<Napi::TypedArray>().ElementLength()};
}
int64_t int_of(const Napi::Object& options, const char* key, int64_t fallback = 0);
double number_of(const Napi::Object& options, const char* key, double fallback = 0);
bool bool_of(const Napi::Object& options, const char* key, bool fallback = false);
std::string string_of(const Napi::Object& options, const char* key, const char* fallback = "");

}  // namespace espalier::testing

#define ESP_TEST_EXPORT(name)                                          \
  static const ::espalier::testing::TestExport esp_test_export_##name( \
      #name, [](const Napi::CallbackInfo& info) -> Napi::Value { return ::espalier::guarded(info, test_##name); })
