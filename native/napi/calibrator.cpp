// SPDX-License-Identifier: Apache-2.0
#include "napi/calibrator.h"

#include <utility>

#include "napi/arguments.h"
#include "napi/guard.h"
#include "napi/model_spec_arguments.h"
#include "napi/trainer_config.h"

namespace espalier {
namespace {

constexpr std::pair<const char*, Tap> kTaps[] = {
    {"block_input", Tap::kBlockInput},           {"attention_input", Tap::kAttentionInput},
    {"attention_output", Tap::kAttentionOutput}, {"mlp_input", Tap::kMlpInput},
    {"mlp_product", Tap::kMlpProduct},           {"block_output", Tap::kBlockOutput}};

TapRequest request_of(const Arguments& args, Napi::Env env) {
  const std::string tap = args.string("tap");
  for (const auto& [name, value] : kTaps)
    if (tap == name) return {value, args.string("statistic")};
  throw to_js_error(env, Status("ERR_ARGUMENT", "taps: unknown tap \"" + tap + "\""));
}

CalibrationConfig config_of(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  const Arguments args(info[0], "calibrator config");
  CalibrationConfig config;
  config.model = train_model_of(args.object("model"), env);
  config.sequences = args.integer("sequences");
  config.length = args.integer("length");
  config.max_batch = args.integer("maxBatch");
  const Napi::Array taps = args.array("taps");
  for (uint32_t i = 0; i < taps.Length(); ++i) config.taps.push_back(request_of({taps.Get(i), "tap"}, env));
  config.states_path = args.string("statesPath", "");
  config.threads = threads_of(args, env);
  config.isa = isa_of(args, env);
  return config;
}

int64_t integer_argument(const Napi::CallbackInfo& info, size_t index, const char* name) {
  if (info[index].IsNumber()) return info[index].As<Napi::Number>().Int64Value();
  throw to_js_error(info.Env(), Status("ERR_ARGUMENT", std::string(name) + ": expected a number"));
}

}  // namespace

void NativeCalibrator::define(Napi::Env env, Napi::Object exports) {
  exports.Set("NativeCalibrator", DefineClass(env, "NativeCalibrator",
                                              {InstanceMethod<&NativeCalibrator::embed>("embed"),
                                               InstanceMethod<&NativeCalibrator::begin_block>("beginBlock"),
                                               InstanceMethod<&NativeCalibrator::run>("run"),
                                               InstanceMethod<&NativeCalibrator::statistics>("statistics"),
                                               InstanceMethod<&NativeCalibrator::save_states>("saveStates"),
                                               InstanceMethod<&NativeCalibrator::load_states>("loadStates"),
                                               InstanceMethod<&NativeCalibrator::close>("close")}));
}

NativeCalibrator::NativeCalibrator(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeCalibrator>(info) {
  guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    std::unique_ptr<Calibrator> created;
    throw_if_error(inner.Env(), Calibrator::create(config_of(inner), &created));
    const std::shared_ptr<Calibrator> shared = std::move(created);
    const auto hurry = [weak = std::weak_ptr<Calibrator>(shared)] {
      if (const std::shared_ptr<Calibrator> calibrator = weak.lock()) calibrator->cancel();
    };
    thread_ = std::make_unique<WorkThread>(inner.Env(), "espalier.calibrator", inner.This().As<Napi::Object>(), hurry);
    calibrator_ = shared;
    return inner.Env().Undefined();
  });
}

const std::shared_ptr<Calibrator>& NativeCalibrator::open_calibrator(Napi::Env env) const {
  if (!calibrator_) throw to_js_error(env, Status("ERR_DISPOSED", "the calibrator is closed"));
  return calibrator_;
}

template <typename Work>
Napi::Value NativeCalibrator::job(const Napi::CallbackInfo& info, Work&& work) {
  open_calibrator(info.Env());
  return thread_->run([calibrator = calibrator_, work = std::forward<Work>(work)] { return work(*calibrator); },
                      [](Napi::Env env) -> Napi::Value { return env.Undefined(); });
}

Napi::Value NativeCalibrator::embed(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    const Napi::Env env = inner.Env();
    const int64_t first = integer_argument(inner, 0, "first");
    if (!inner[1].IsTypedArray() || inner[1].As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
      throw to_js_error(env, Status("ERR_ARGUMENT", "tokens: expected an Int32Array"));
    const Napi::Int32Array array = inner[1].As<Napi::Int32Array>();
    const int64_t length = open_calibrator(env)->config().length, count = static_cast<int64_t>(array.ElementLength());
    if (count % length != 0)
      throw to_js_error(
          env, Status("ERR_SHAPE", format_text("tokens: expected a multiple of %lld, found %lld",
                                               static_cast<long long>(length), static_cast<long long>(count))));
    std::vector<int32_t> tokens(array.Data(), array.Data() + count);
    return job(inner, [first, rows = count / length, tokens = std::move(tokens)](Calibrator& calibrator) {
      return calibrator.embed(first, rows, tokens.data());
    });
  });
}

Napi::Value NativeCalibrator::begin_block(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    const int64_t layer = integer_argument(inner, 0, "layer");
    return job(inner, [layer](Calibrator& calibrator) { return calibrator.begin_block(layer); });
  });
}

Napi::Value NativeCalibrator::run(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    const int64_t first = integer_argument(inner, 0, "first"), count = integer_argument(inner, 1, "count");
    return job(inner, [first, count](Calibrator& calibrator) { return calibrator.run(first, count); });
  });
}

// One Float64Array a request.
Napi::Value NativeCalibrator::statistics(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    open_calibrator(inner.Env());
    auto values = std::make_shared<std::vector<std::vector<double>>>();
    auto work = [calibrator = calibrator_, values] {
      for (size_t i = 0; i < calibrator->request_count(); ++i) {
        values->emplace_back(static_cast<size_t>(calibrator->value_count(i)));
        calibrator->read(i, values->back().data());
      }
      return Status::ok();
    };
    return thread_->run(work, [values](Napi::Env env) -> Napi::Value {
      Napi::Array out = Napi::Array::New(env, values->size());
      for (uint32_t i = 0; i < values->size(); ++i) {
        Napi::Float64Array array = Napi::Float64Array::New(env, (*values)[i].size());
        std::copy((*values)[i].begin(), (*values)[i].end(), array.Data());
        out[i] = array;
      }
      return out;
    });
  });
}

Napi::Value NativeCalibrator::states_job(const Napi::CallbackInfo& info, bool save) {
  return guarded(info, [this, save](const Napi::CallbackInfo& inner) -> Napi::Value {
    if (!inner[0].IsString()) throw to_js_error(inner.Env(), Status("ERR_ARGUMENT", "path: expected a string"));
    const std::string path = inner[0].As<Napi::String>().Utf8Value();
    return job(inner, [path, save](Calibrator& calibrator) {
      return save ? calibrator.states().save(path) : calibrator.states().load(path);
    });
  });
}

Napi::Value NativeCalibrator::save_states(const Napi::CallbackInfo& info) { return states_job(info, true); }
Napi::Value NativeCalibrator::load_states(const Napi::CallbackInfo& info) { return states_job(info, false); }

Napi::Value NativeCalibrator::close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!calibrator_) {
    const Napi::Promise::Deferred done(env);
    done.Resolve(env.Undefined());
    return done.Promise();
  }
  auto holder = std::make_shared<std::shared_ptr<Calibrator>>(std::exchange(calibrator_, nullptr));
  return thread_->close([holder] { holder->reset(); });
}

}  // namespace espalier
