// SPDX-License-Identifier: Apache-2.0
#include "napi/testing/registry.h"

#include <map>
#include <memory>
#include <mutex>
#include <utility>

#include "core/cpu_features.h"

namespace espalier::testing {
namespace {

std::vector<std::pair<const char*, TestFunction>>& functions() {
  static std::vector<std::pair<const char*, TestFunction>> list;
  return list;
}

}  // namespace

TestExport::TestExport(const char* name, TestFunction function) { functions().emplace_back(name, function); }

Napi::Object make_exports(Napi::Env env) {
  Napi::Object exports = Napi::Object::New(env);
  for (const auto& [name, function] : functions()) exports.Set(name, Napi::Function::New(env, function, name));
  return exports;
}

ThreadPool* shared_pool(int threads) {
  static std::mutex mutex;
  static std::map<int, std::unique_ptr<ThreadPool>> pools;
  std::lock_guard<std::mutex> lock(mutex);
  std::unique_ptr<ThreadPool>& pool = pools[threads];
  if (!pool) pool = std::make_unique<ThreadPool>(threads);
  return pool.get();
}

CpuContext context_of(const Napi::Object& options) {
  const std::string name = string_of(options, "isa", isa_name(current_isa()));
  Isa isa;
  if (!isa_by_name(name, &isa) || !isa_runs_here(isa))
    throw to_js_error(options.Env(), Status("ERR_ISA", "isa: this CPU cannot run \"" + name + "\""));
  return {shared_pool(static_cast<int>(int_of(options, "threads", 2))), isa};
}

int64_t int_of(const Napi::Object& options, const char* key, int64_t fallback) {
  Napi::Value value = options.Get(key);
  return value.IsNumber() ? value.As<Napi::Number>().Int64Value() : fallback;
}

double number_of(const Napi::Object& options, const char* key, double fallback) {
  Napi::Value value = options.Get(key);
  return value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : fallback;
}

bool bool_of(const Napi::Object& options, const char* key, bool fallback) {
  Napi::Value value = options.Get(key);
  return value.IsBoolean() ? value.As<Napi::Boolean>().Value() : fallback;
}

std::string string_of(const Napi::Object& options, const char* key, const char* fallback) {
  Napi::Value value = options.Get(key);
  return value.IsString() ? value.As<Napi::String>().Utf8Value() : fallback;
}

}  // namespace espalier::testing
