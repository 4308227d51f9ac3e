// NativeEngine: the JavaScript class round espalier::Engine.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <memory>

#include "engine/engine.h"

namespace espalier {

// new NativeEngine(config, onEvents): src/binding.ts says what the config holds. onEvents is called, without
// arguments, when takeEvents() has something to give.
class NativeEngine : public Napi::ObjectWrap<NativeEngine> {
 public:
  static void define(Napi::Env env, Napi::Object exports);
  explicit NativeEngine(const Napi::CallbackInfo& info);
  ~NativeEngine() override;

 private:
  Napi::Value submit(const Napi::CallbackInfo& info);
  Napi::Value cancel(const Napi::CallbackInfo& info);
  Napi::Value take_events(const Napi::CallbackInfo& info);
  Napi::Value stats(const Napi::CallbackInfo& info);
  Napi::Value ref(const Napi::CallbackInfo& info);
  Napi::Value unref(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);
  static void on_environment_exit(void* self);
  void shut_down();

  std::shared_ptr<Engine> engine_;
  Napi::ThreadSafeFunction notify_;
  napi_env env_;
  int64_t reported_bytes_ = 0;
  bool closed_ = true;  // until the constructor is done
};

}  // namespace espalier
