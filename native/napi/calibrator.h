// NativeCalibrator: the JavaScript class round espalier::Calibrator, which works on a thread of its own.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <memory>

#include "calibrate/calibrator.h"
#include "napi/work_thread.h"

namespace espalier {

// new NativeCalibrator(config): src/calibrate/native-calibrator.ts says what the config holds and what each method
// does.
class NativeCalibrator : public Napi::ObjectWrap<NativeCalibrator> {
 public:
  static void define(Napi::Env env, Napi::Object exports);
  explicit NativeCalibrator(const Napi::CallbackInfo& info);

 private:
  Napi::Value embed(const Napi::CallbackInfo& info);
  Napi::Value begin_block(const Napi::CallbackInfo& info);
  Napi::Value run(const Napi::CallbackInfo& info);
  Napi::Value statistics(const Napi::CallbackInfo& info);
  Napi::Value save_states(const Napi::CallbackInfo& info);
  Napi::Value load_states(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  // A job that gives nothing back.
  template <typename Work>
  Napi::Value job(const Napi::CallbackInfo& info, Work&& work);
  Napi::Value states_job(const Napi::CallbackInfo& info, bool save);
  // Throws ERR_DISPOSED after close().
  const std::shared_ptr<Calibrator>& open_calibrator(Napi::Env env) const;

  std::shared_ptr<Calibrator> calibrator_;
  std::unique_ptr<WorkThread> thread_;
};

}  // namespace espalier
