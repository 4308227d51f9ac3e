// SPDX-License-Identifier: Apache-2.0
#include "napi/trainer.h"

#include <cmath>
#include <utility>

#include "napi/arguments.h"
#include "napi/guard.h"
#include "napi/top_logits.h"
#include "napi/trainer_config.h"

namespace espalier {
namespace {

constexpr std::pair<const char*, ParameterPart> kParts[] = {{"weight", ParameterPart::kWeight},
                                                            {"gradient", ParameterPart::kGradient},
                                                            {"moment1", ParameterPart::kMoment1},
                                                            {"moment2", ParameterPart::kMoment2}};

std::string name_argument(const Napi::CallbackInfo& info) {
  if (!info[0].IsString()) throw to_js_error(info.Env(), Status("ERR_ARGUMENT", "name: expected a string"));
  return info[0].As<Napi::String>().Utf8Value();
}

ParameterPart part_argument(const Napi::CallbackInfo& info) {
  const std::string part = info[1].ToString().Utf8Value();
  for (const auto& [name, value] : kParts)
    if (part == name) return value;
  throw to_js_error(info.Env(), Status("ERR_ARGUMENT",
                                       "part: expected weight, gradient, moment1 or moment2, found \"" + part + "\""));
}

Napi::Object losses_object(Napi::Env env, const TrainConfig& config, const BatchLosses& losses) {
  Napi::Object sums = Napi::Object::New(env);
  for (size_t i = 0; i < losses.sums.size(); ++i) {
    const char* kind = loss_kind_name(config.losses[i].kind);
    const double before = sums.Has(kind) ? sums.Get(kind).As<Napi::Number>().DoubleValue() : 0.0;
    sums.Set(kind, before + losses.sums[i]);
  }
  sums.Set("total", losses.total);
  Napi::Object out = Napi::Object::New(env);
  out.Set("tokens", static_cast<double>(losses.tokens));
  out.Set("sums", sums);
  return out;
}

TrainBatch view_of(const OwnedBatch& batch) {
  TrainBatch view = batch.view;
  view.tokens = batch.tokens.data();
  view.labels = batch.labels.data();
  if (!batch.document_starts.empty()) view.document_starts = batch.document_starts.data();
  if (!batch.top_ids.empty()) view.top_ids = batch.top_ids.data();
  if (!batch.top_values.empty()) view.top_values = batch.top_values.data();
  if (!batch.top_log_sum_exp.empty()) view.top_log_sum_exp = batch.top_log_sum_exp.data();
  return view;
}

}  // namespace

void NativeTrainer::define(Napi::Env env, Napi::Object exports) {
  exports.Set(
      "NativeTrainer",
      DefineClass(env, "NativeTrainer",
                  {InstanceAccessor<&NativeTrainer::parameters>("parameters"),
                   InstanceAccessor<&NativeTrainer::memory>("memory"),
                   InstanceAccessor<&NativeTrainer::step, &NativeTrainer::set_step>("step"),
                   InstanceMethod<&NativeTrainer::accumulate>("accumulate"),
                   InstanceMethod<&NativeTrainer::evaluate>("evaluate"),
                   InstanceMethod<&NativeTrainer::top_logits>("topLogits"),
                   InstanceMethod<&NativeTrainer::update>("update"), InstanceMethod<&NativeTrainer::read>("read"),
                   InstanceMethod<&NativeTrainer::write>("write"), InstanceMethod<&NativeTrainer::set_mask>("setMask"),
                   InstanceMethod<&NativeTrainer::merged>("merged"), InstanceMethod<&NativeTrainer::close>("close")}));
}

NativeTrainer::NativeTrainer(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeTrainer>(info) {
  guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    std::unique_ptr<Trainer> created;
    throw_if_error(inner.Env(), Trainer::create(train_config_of(inner), &created));
    const std::shared_ptr<Trainer> shared = std::move(created);
    const auto hurry = [weak = std::weak_ptr<Trainer>(shared)] {
      if (const std::shared_ptr<Trainer> trainer = weak.lock()) trainer->cancel();
    };
    thread_ = std::make_unique<WorkThread>(inner.Env(), "espalier.trainer", inner.This().As<Napi::Object>(), hurry);
    trainer_ = shared;
    load_status_ = std::make_shared<Status>();
    for (const auto& [name, bytes] : trainer_->memory()) reported_bytes_ += static_cast<int64_t>(bytes);
    Napi::MemoryManagement::AdjustExternalMemory(inner.Env(), reported_bytes_);
    thread_->post([trainer = trainer_, status = load_status_] {
      *status = trainer->load();
      return Status::ok();
    });
    return inner.Env().Undefined();
  });
}

// Jobs keep this object alive, so none is open here, unless the environment ended.
NativeTrainer::~NativeTrainer() {
  if (trainer_) Napi::MemoryManagement::AdjustExternalMemory(Env(), -reported_bytes_);
}

Trainer& NativeTrainer::open_trainer(Napi::Env env) const {
  if (!trainer_) throw to_js_error(env, Status("ERR_DISPOSED", "the trainer is closed"));
  return *trainer_;
}

Napi::Value NativeTrainer::parameters(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    const Napi::Env env = inner.Env();
    const std::vector<Parameter>& list = open_trainer(env).parameters().list();
    Napi::Array out = Napi::Array::New(env, list.size());
    for (size_t i = 0; i < list.size(); ++i) {
      const Parameter& parameter = list[i];
      Napi::Object row = Napi::Object::New(env);
      Napi::Array shape = Napi::Array::New(env);
      shape.Set(0u, static_cast<double>(parameter.rows));
      if (!parameter.is_vector) shape.Set(1u, static_cast<double>(parameter.cols));
      row.Set("name", parameter.tensor.name);
      row.Set("shape", shape);
      row.Set("trainable", parameter.trainable);
      row.Set("decays", parameter.decays);
      out[static_cast<uint32_t>(i)] = row;
    }
    return out;
  });
}

Napi::Value NativeTrainer::memory(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    Napi::Object out = Napi::Object::New(inner.Env());
    for (const auto& [name, bytes] : open_trainer(inner.Env()).memory()) out.Set(name, static_cast<double>(bytes));
    return out;
  });
}

Napi::Value NativeTrainer::step(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    return Napi::Number::New(inner.Env(), static_cast<double>(open_trainer(inner.Env()).step.load()));
  });
}

void NativeTrainer::set_step(const Napi::CallbackInfo& info, const Napi::Value& value) {
  const double step = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (!(step >= 0) || step > 9007199254740991.0 || step != std::floor(step))
    throw to_js_error(info.Env(),
                      Status("ERR_ARGUMENT", "step: expected a whole number, found " + value.ToString().Utf8Value()));
  open_trainer(info.Env()).step.store(static_cast<int64_t>(step));
}

Napi::Value NativeTrainer::run_batch(const Napi::CallbackInfo& info, bool backward) {
  return guarded(info, [this, backward](const Napi::CallbackInfo& inner) -> Napi::Value {
    const int64_t teacher_top = open_trainer(inner.Env()).config().teacher_top;
    auto batch = std::make_shared<OwnedBatch>(batch_of(inner, teacher_top));
    auto losses = std::make_shared<BatchLosses>();
    auto work = [trainer = trainer_, loaded = load_status_, batch, losses, backward] {
      ESP_RETURN_IF_ERROR(*loaded);
      const TrainBatch view = view_of(*batch);
      return backward ? trainer->accumulate(view, losses.get()) : trainer->evaluate(view, losses.get());
    };
    return thread_->run(work, [trainer = trainer_, losses](Napi::Env env) -> Napi::Value {
      return losses_object(env, trainer->config(), *losses);
    });
  });
}

Napi::Value NativeTrainer::accumulate(const Napi::CallbackInfo& info) { return run_batch(info, true); }
Napi::Value NativeTrainer::evaluate(const Napi::CallbackInfo& info) { return run_batch(info, false); }

Napi::Value NativeTrainer::top_logits(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    const Napi::Env env = inner.Env();
    const int64_t vocab = open_trainer(env).config().model.spec.vocab_size;
    auto batch = std::make_shared<OwnedBatch>(batch_of(inner, 0));
    const int64_t top = top_argument(env, inner[1], vocab);
    const TopLogitArrays arrays(env, batch->view.token_count(), top);
    const TopLogits out{top, arrays.ids, arrays.values, arrays.log_sum_exp};
    auto work = [trainer = trainer_, loaded = load_status_, batch, out] {
      ESP_RETURN_IF_ERROR(*loaded);
      return trainer->top_logits(view_of(*batch), out);
    };
    return thread_->run(work, [arrays](Napi::Env env) -> Napi::Value { return arrays.object(env); });
  });
}

Napi::Value NativeTrainer::update(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    open_trainer(inner.Env());
    const Arguments args(inner[0], "update options");
    const UpdateOptions options{args.integer("tokens"), args.number("learningRate"), args.number("weightDecay", 0),
                                args.number("maxGradNorm", 0)};
    auto result = std::make_shared<UpdateResult>();
    auto work = [trainer = trainer_, loaded = load_status_, options, result] {
      ESP_RETURN_IF_ERROR(*loaded);
      return trainer->update(options, result.get());
    };
    return thread_->run(work, [result](Napi::Env env) -> Napi::Value {
      Napi::Object out = Napi::Object::New(env);
      out.Set("gradNorm", result->grad_norm);
      out.Set("skipped", result->skipped);
      return out;
    });
  });
}

Napi::Value NativeTrainer::read(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    const std::string name = name_argument(inner);
    const ParameterPart part = part_argument(inner);
    const Parameter* parameter = open_trainer(inner.Env()).parameters().find(name);
    const int64_t count = parameter != nullptr ? parameter->count() : 0;
    Napi::Float32Array out = Napi::Float32Array::New(inner.Env(), static_cast<size_t>(count));
    auto kept = std::make_shared<Napi::ObjectReference>(Napi::Persistent(out.As<Napi::Object>()));
    auto work = [trainer = trainer_, loaded = load_status_, name, part, data = out.Data(), count] {
      ESP_RETURN_IF_ERROR(*loaded);
      return trainer->read(name, part, data, count);
    };
    return thread_->run(work, [kept](Napi::Env) -> Napi::Value { return kept->Value(); });
  });
}

Napi::Value NativeTrainer::write(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    open_trainer(inner.Env());
    const std::string name = name_argument(inner);
    const ParameterPart part = part_argument(inner);
    if (!inner[2].IsTypedArray() || inner[2].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
      throw to_js_error(inner.Env(), Status("ERR_ARGUMENT", "values: expected a Float32Array"));
    const Napi::Float32Array values = inner[2].As<Napi::Float32Array>();
    auto work = [trainer = trainer_, loaded = load_status_, name, part, data = values.Data(),
                 count = static_cast<int64_t>(values.ElementLength())] {
      ESP_RETURN_IF_ERROR(*loaded);
      return trainer->write(name, part, data, count);
    };
    return thread_->run(work, [](Napi::Env env) -> Napi::Value { return env.Undefined(); },
                        {values.As<Napi::Object>()});
  });
}

// Checked at once, applied in its turn among the calls.
Napi::Value NativeTrainer::set_mask(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    const Napi::Env env = inner.Env();
    const std::string name = name_argument(inner);
    Trainer& trainer = open_trainer(env);
    std::vector<uint8_t> bits;
    const bool none = inner[1].IsNull() || inner[1].IsUndefined();
    if (!none && (!inner[1].IsTypedArray() || inner[1].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array))
      throw to_js_error(env, Status("ERR_ARGUMENT", "bits: expected a Uint8Array or null"));
    if (!none) {
      const Napi::Uint8Array array = inner[1].As<Napi::Uint8Array>();
      bits.assign(array.Data(), array.Data() + array.ElementLength());
    }
    throw_if_error(env, trainer.check_mask(name, none ? -1 : static_cast<int64_t>(bits.size())));
    thread_->post([trainer = trainer_, name, bits = std::move(bits), none] {
      return trainer->set_mask(name, none ? nullptr : bits.data(), static_cast<int64_t>(bits.size()));
    });
    return env.Undefined();
  });
}

Napi::Value NativeTrainer::merged(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    const std::string name = name_argument(inner);
    const Parameter* parameter = open_trainer(inner.Env()).parameters().find(name);
    const int64_t count = parameter != nullptr ? parameter->count() : 0;
    Napi::Float32Array out = Napi::Float32Array::New(inner.Env(), static_cast<size_t>(count));
    auto kept = std::make_shared<Napi::ObjectReference>(Napi::Persistent(out.As<Napi::Object>()));
    auto work = [trainer = trainer_, loaded = load_status_, name, data = out.Data(), count] {
      ESP_RETURN_IF_ERROR(*loaded);
      return trainer->merged(name, data, count);
    };
    return thread_->run(work, [kept](Napi::Env) -> Napi::Value { return kept->Value(); });
  });
}

Napi::Value NativeTrainer::close(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!trainer_) {
    const Napi::Promise::Deferred done(env);
    done.Resolve(env.Undefined());
    return done.Promise();
  }
  Napi::MemoryManagement::AdjustExternalMemory(env, -reported_bytes_);
  auto holder = std::make_shared<std::shared_ptr<Trainer>>(std::exchange(trainer_, nullptr));
  return thread_->close([holder] { holder->reset(); });
}

}  // namespace espalier
