// NativeTrainer: the JavaScript class round espalier::Trainer, which works on a thread of its own.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <memory>
#include <string>
#include <vector>

#include "napi/work_thread.h"
#include "train/trainer.h"

namespace espalier {

// new NativeTrainer(config): src/train/native-trainer.ts says what the config holds and what each method does.
class NativeTrainer : public Napi::ObjectWrap<NativeTrainer> {
 public:
  static void define(Napi::Env env, Napi::Object exports);
  explicit NativeTrainer(const Napi::CallbackInfo& info);
  ~NativeTrainer() override;

 private:
  Napi::Value parameters(const Napi::CallbackInfo& info);
  Napi::Value memory(const Napi::CallbackInfo& info);
  Napi::Value step(const Napi::CallbackInfo& info);
  void set_step(const Napi::CallbackInfo& info, const Napi::Value& value);
  Napi::Value accumulate(const Napi::CallbackInfo& info);
  Napi::Value evaluate(const Napi::CallbackInfo& info);
  Napi::Value top_logits(const Napi::CallbackInfo& info);
  Napi::Value update(const Napi::CallbackInfo& info);
  Napi::Value read(const Napi::CallbackInfo& info);
  Napi::Value write(const Napi::CallbackInfo& info);
  Napi::Value set_mask(const Napi::CallbackInfo& info);
  Napi::Value merged(const Napi::CallbackInfo& info);
  Napi::Value close(const Napi::CallbackInfo& info);

  Napi::Value run_batch(const Napi::CallbackInfo& info, bool backward);
  // Throws ERR_DISPOSED after close().
  Trainer& open_trainer(Napi::Env env) const;

  std::shared_ptr<Trainer> trainer_;
  std::shared_ptr<Status> load_status_;  // of reading the weights: the thread's first job
  std::unique_ptr<WorkThread> thread_;
  int64_t reported_bytes_ = 0;
};

}  // namespace espalier
