// SPDX-License-Identifier: Apache-2.0
#include "napi/engine.h"

#include <utility>

#include "core/cpu_features.h"
#include "napi/arguments.h"
#include "napi/guard.h"
#include "napi/model_spec_arguments.h"

namespace espalier {
namespace {

std::vector<EngineTensor> tensors_of(const Napi::Array& list) {
  std::vector<EngineTensor> tensors;
  tensors.reserve(list.Length());
  for (uint32_t i = 0; i < list.Length(); ++i) {
    const Napi::HandleScope scope(list.Env());
    const Arguments args(list.Get(i), "engine tensor");
    tensors.push_back({args.string("role"), args.string("part"), args.integer("layer", -1), args.string("format"),
                       args.integer("n"), args.integer("k"), static_cast<uint64_t>(args.integer("offset")),
                       static_cast<uint64_t>(args.integer("sizeBytes"))});
  }
  return tensors;
}

EngineConfig config_of(const Napi::CallbackInfo& info) {
  const Arguments args(info[0], "engine config");
  EngineConfig config;
  config.weights_path = args.string("weightsPath");
  config.backend = args.string("backend", "cpu");
  config.spec = model_spec_of(args.object("spec"), info.Env());
  config.rotated = args.boolean("rotated", false);
  config.tensors = tensors_of(args.array("tensors"));
  const std::string kv = args.string("kvDtype", "f32");
  const KvDTypeInfo* dtype = kv_dtype_by_name(kv.c_str());
  if (dtype == nullptr)
    throw to_js_error(info.Env(), Status("ERR_ARGUMENT",
                                         "kvDtype: expected " + std::string(kKvDTypeNames) + ", found \"" + kv + "\""));
  config.kv_dtype = dtype->dtype;
  config.kv_scales = args.float32_array("kvScales");
  config.context_tokens = args.integer("contextTokens");
  config.kv_tokens = args.integer("kvTokens");
  config.max_sequences = args.integer("maxSequences", 8);
  config.prefill_chunk = args.integer("prefillChunk", 512);
  config.isa = static_cast<int32_t>(isa_of(args, info.Env()));
  config.threads = threads_of(args, info.Env());
  if (config.context_tokens < 1 || config.max_sequences < 1 || config.prefill_chunk < 1)
    throw to_js_error(info.Env(),
                      Status("ERR_ARGUMENT", "contextTokens, maxSequences, prefillChunk: expected at least 1"));
  return config;
}

Request request_of(const Napi::CallbackInfo& info) {
  static const std::pair<const char*, RequestKind> kKinds[] = {
      {"generate", RequestKind::kGenerate}, {"logits", RequestKind::kLogits}, {"score", RequestKind::kScore}};
  const Arguments args(info[0], "request");
  Request request;
  request.id = static_cast<uint64_t>(args.integer("id"));
  const std::string kind = args.string("kind");
  for (const auto& [name, value] : kKinds)
    if (kind == name) request.kind = value;
  request.prompt = args.int32_array("prompt");
  request.max_tokens = args.integer("maxTokens", 0);
  request.sampling.temperature = static_cast<float>(args.number("temperature", 0.0));
  request.sampling.top_k = static_cast<int32_t>(args.integer("topK", 0));
  request.sampling.top_p = static_cast<float>(args.number("topP", 1.0));
  request.sampling.min_p = static_cast<float>(args.number("minP", 0.0));
  request.sampling.repetition_penalty = static_cast<float>(args.number("repetitionPenalty", 1.0));
  request.seed = static_cast<uint64_t>(args.integer("seed", 0));
  request.stop_ids = args.int32_array("stopIds");
  request.top_logprobs = static_cast<int32_t>(args.integer("topLogprobs", 0));
  request.all_logits = args.boolean("allLogits", false);
  request.score_from = args.integer("scoreFrom", 1);
  request.reuse_prefix = args.boolean("reusePrefix", true);
  return request;
}

template <typename Array, typename T>
Array typed_array(Napi::Env env, const std::vector<T>& values) {
  Array array = Array::New(env, values.size());
  std::copy(values.begin(), values.end(), array.Data());
  return array;
}

Napi::Object event_object(Napi::Env env, Event& event) {
  static const char* const kKinds[] = {"token", "done", "logits", "scores", "error"};
  static const char* const kReasons[] = {"stop", "length", "context", "cancelled"};
  Napi::Object out = Napi::Object::New(env);
  out.Set("request", static_cast<double>(event.request));
  out.Set("kind", kKinds[static_cast<int>(event.kind)]);
  out.Set("atMs", event.at_ms);
  switch (event.kind) {
    case EventKind::kToken: {
      out.Set("token", event.token);
      out.Set("logprob", event.logprob);
      Napi::Array top = Napi::Array::New(env, event.top.size());
      for (size_t i = 0; i < event.top.size(); ++i) {
        Napi::Object entry = Napi::Object::New(env);
        entry.Set("id", event.top[i].id);
        entry.Set("logprob", event.top[i].logprob);
        top[static_cast<uint32_t>(i)] = entry;
      }
      out.Set("top", top);
      break;
    }
    case EventKind::kDone:
      out.Set("reason", kReasons[static_cast<int>(event.reason)]);
      out.Set("reusedTokens", static_cast<double>(event.reused_tokens));
      break;
    case EventKind::kLogits:
      out.Set("logits", typed_array<Napi::Float32Array>(env, event.logits));
      break;
    case EventKind::kScores:
      out.Set("scores", typed_array<Napi::Float64Array>(env, event.scores));
      break;
    case EventKind::kError:
      out.Set("error", to_js_error(env, event.error).Value());
      break;
  }
  return out;
}

// Joins the engine's thread off the event loop.
class CloseWorker : public Napi::AsyncWorker {
 public:
  CloseWorker(Napi::Env env, std::shared_ptr<Engine> engine, Napi::ThreadSafeFunction notify)
      : Napi::AsyncWorker(env, "espalier.close"), engine_(std::move(engine)), notify_(notify), deferred_(env) {}
  Napi::Promise promise() { return deferred_.Promise(); }
  void Execute() override {
    engine_->close();
    engine_.reset();    // frees the cache here rather than on the event loop
    notify_.Release();  // only now can the engine's thread call it no more
  }
  void OnOK() override { deferred_.Resolve(Env().Undefined()); }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  std::shared_ptr<Engine> engine_;
  Napi::ThreadSafeFunction notify_;
  Napi::Promise::Deferred deferred_;
};

}  // namespace

void NativeEngine::define(Napi::Env env, Napi::Object exports) {
  exports.Set(
      "NativeEngine",
      DefineClass(env, "NativeEngine",
                  {InstanceMethod<&NativeEngine::submit>("submit"), InstanceMethod<&NativeEngine::cancel>("cancel"),
                   InstanceMethod<&NativeEngine::take_events>("takeEvents"),
                   InstanceMethod<&NativeEngine::stats>("stats"), InstanceMethod<&NativeEngine::ref>("ref"),
                   InstanceMethod<&NativeEngine::unref>("unref"), InstanceMethod<&NativeEngine::close>("close")}));
}

NativeEngine::NativeEngine(const Napi::CallbackInfo& info) : Napi::ObjectWrap<NativeEngine>(info), env_(info.Env()) {
  guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    Napi::Env env = inner.Env();
    EngineConfig config = config_of(inner);
    if (!inner[1].IsFunction()) throw to_js_error(env, Status("ERR_ARGUMENT", "onEvents: expected a function"));
    notify_ = Napi::ThreadSafeFunction::New(env, inner[1].As<Napi::Function>(), "espalier.engine", 0, 1);
    notify_.Unref(env);
    std::unique_ptr<Engine> engine;
    const Status status = Engine::load(
        std::move(config), [notify = notify_] { notify.NonBlockingCall(); }, &engine);
    if (!status.is_ok()) {
      notify_.Release();
      throw to_js_error(env, status);
    }
    engine_ = std::move(engine);
    closed_ = false;
    const EngineStats stats = engine_->stats();
    reported_bytes_ = stats.weight_bytes + stats.kv_bytes;
    Napi::MemoryManagement::AdjustExternalMemory(env, reported_bytes_);
    // Runs before the thread-safe function's own hook (last in, first out), so nothing calls into a dying environment.
    napi_add_env_cleanup_hook(env_, on_environment_exit, this);
    return env.Undefined();
  });
}

NativeEngine::~NativeEngine() {
  if (closed_) return;
  napi_remove_env_cleanup_hook(env_, on_environment_exit, this);
  shut_down();
}

void NativeEngine::on_environment_exit(void* self) { static_cast<NativeEngine*>(self)->shut_down(); }

void NativeEngine::shut_down() {
  if (closed_) return;
  closed_ = true;
  engine_->close();
  engine_.reset();
  notify_.Abort();
}

Napi::Value NativeEngine::submit(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    if (closed_) throw to_js_error(inner.Env(), Status("ERR_DISPOSED", "the engine is disposed"));
    throw_if_error(inner.Env(), engine_->submit(request_of(inner)));
    return inner.Env().Undefined();
  });
}

Napi::Value NativeEngine::cancel(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    if (!closed_) engine_->cancel(static_cast<uint64_t>(inner[0].As<Napi::Number>().Int64Value()));
    return inner.Env().Undefined();
  });
}

Napi::Value NativeEngine::take_events(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    Napi::Env env = inner.Env();
    std::vector<Event> events;
    if (!closed_) events = engine_->take_events();
    Napi::Array list = Napi::Array::New(env, events.size());
    for (size_t i = 0; i < events.size(); ++i) list[static_cast<uint32_t>(i)] = event_object(env, events[i]);
    return list;
  });
}

Napi::Value NativeEngine::stats(const Napi::CallbackInfo& info) {
  return guarded(info, [this](const Napi::CallbackInfo& inner) -> Napi::Value {
    const EngineStats stats = closed_ ? EngineStats{} : engine_->stats();
    Napi::Object out = Napi::Object::New(inner.Env());
    out.Set("active", static_cast<double>(stats.active));
    out.Set("waiting", static_cast<double>(stats.waiting));
    out.Set("pagesTotal", static_cast<double>(stats.pages_total));
    out.Set("pagesFree", static_cast<double>(stats.pages_free));
    out.Set("pagesCached", static_cast<double>(stats.pages_cached));
    out.Set("weightBytes", static_cast<double>(stats.weight_bytes));
    out.Set("kvBytes", static_cast<double>(stats.kv_bytes));
    out.Set("workspaceBytes", static_cast<double>(stats.workspace_bytes));
    return out;
  });
}

Napi::Value NativeEngine::ref(const Napi::CallbackInfo& info) {
  if (!closed_) notify_.Ref(info.Env());
  return info.Env().Undefined();
}

Napi::Value NativeEngine::unref(const Napi::CallbackInfo& info) {
  if (!closed_) notify_.Unref(info.Env());
  return info.Env().Undefined();
}

Napi::Value NativeEngine::close(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (closed_) {
    const Napi::Promise::Deferred done(env);
    done.Resolve(env.Undefined());
    return done.Promise();
  }
  closed_ = true;
  napi_remove_env_cleanup_hook(env_, on_environment_exit, this);
  Napi::MemoryManagement::AdjustExternalMemory(env, -reported_bytes_);
  auto* worker = new CloseWorker(env, std::exchange(engine_, nullptr), notify_);
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace espalier
