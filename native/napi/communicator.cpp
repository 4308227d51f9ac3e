// SPDX-License-Identifier: Apache-2.0
#include "napi/communicator.h"

#include <functional>
#include <memory>
#include <utility>

#include "napi/guard.h"
#include "train/communicator.h"

namespace espalier {
namespace {

// One blocking call, off the event loop. Holds the array it works on.
class CommunicatorWorker : public Napi::AsyncWorker {
 public:
  CommunicatorWorker(Napi::Env env, Napi::Object array, std::function<Status()> call)
      : Napi::AsyncWorker(env, "espalier.communicator"),
        deferred_(env),
        array_(Napi::Persistent(array)),
        call_(std::move(call)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override { status_ = call_(); }
  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (status_.is_ok())
      deferred_.Resolve(Env().Undefined());
    else
      deferred_.Reject(to_js_error(Env(), status_).Value());
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference array_;
  std::function<Status()> call_;
  Status status_;
};

Napi::Value start(Napi::Env env, Napi::Object array, std::function<Status()> call) {
  auto* worker = new CommunicatorWorker(env, array, std::move(call));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Status not_a(const char* expected) {
  return Status("ERR_ARGUMENT", std::string("values: expected a ") + expected + ", found something else");
}

}  // namespace

Napi::Value open_communicator_for_js(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!started_by_mpi()) return env.Null();
  std::shared_ptr<Communicator> ranks;
  throw_if_error(env, open_mpi(&ranks));
  Napi::Object out = Napi::Object::New(env);
  out.Set("rank", ranks->rank());
  out.Set("size", ranks->size());
  out.Set("sum", Napi::Function::New(env, [ranks](const Napi::CallbackInfo& call) -> Napi::Value {
            if (!call[0].IsTypedArray() || call[0].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array)
              throw to_js_error(call.Env(), not_a("Float64Array"));
            const auto values = call[0].As<Napi::Float64Array>();
            double* data = const_cast<double*>(values.Data());
            const int64_t count = static_cast<int64_t>(values.ElementLength());
            return start(call.Env(), values, [=] { return ranks->sum(data, count); });
          }));
  out.Set("broadcast", Napi::Function::New(env, [ranks](const Napi::CallbackInfo& call) -> Napi::Value {
            if (!call[0].IsTypedArray() || call[0].As<Napi::TypedArray>().TypedArrayType() != napi_uint8_array)
              throw to_js_error(call.Env(), not_a("Uint8Array"));
            const auto bytes = call[0].As<Napi::Uint8Array>();
            uint8_t* data = const_cast<uint8_t*>(bytes.Data());
            const int64_t count = static_cast<int64_t>(bytes.ByteLength());
            return start(call.Env(), bytes, [=] { return ranks->broadcast(data, count); });
          }));
  out.Set("leave", Napi::Function::New(env, [](const Napi::CallbackInfo&) { close_mpi(); }));
  return out;
}

}  // namespace espalier
