// SPDX-License-Identifier: Apache-2.0
#include "napi/ceilings.h"

#include <string>

#include "core/cpu_features.h"
#include "core/thread_pool.h"
#include "kernels/ceiling/ceiling.h"
#include "napi/arguments.h"
#include "napi/guard.h"

namespace espalier {
namespace {

struct CeilingRequest {
  Isa isa;
  int threads;
  double seconds;
  size_t buffer_bytes;
};

class CeilingWorker : public Napi::AsyncWorker {
 public:
  CeilingWorker(Napi::Env env, const CeilingRequest& request)
      : Napi::AsyncWorker(env, "espalier.measureCeilings"), deferred_(env), request_(request) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      ThreadPool pool(request_.threads);
      status_ = measure_ceilings({&pool, request_.isa}, request_.seconds, request_.buffer_bytes, &ceilings_);
    } catch (const std::exception& error) {
      status_ = Status("ERR_OUT_OF_MEMORY", error.what());
    }
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (!status_.is_ok()) {
      deferred_.Reject(to_js_error(Env(), status_).Value());
      return;
    }
    Napi::Object out = Napi::Object::New(Env());
    out.Set("isa", isa_name(request_.isa));
    out.Set("threads", request_.threads);
    out.Set("readGBps", ceilings_.read_gbps);
    out.Set("copyGBps", ceilings_.copy_gbps);
    out.Set("f32Gflops", ceilings_.f32_gflops);
    out.Set("bf16Gflops", ceilings_.bf16_gflops);
    out.Set("int8Gops", ceilings_.int8_gops);
    out.Set("bufferMB", ceilings_.buffer_mb);
    deferred_.Resolve(out);
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  CeilingRequest request_;
  Ceilings ceilings_{};
  Status status_;
};

Status read_request(const Arguments& arguments, CeilingRequest* request) {
  const std::string name = arguments.string("isa", isa_name(current_isa()));
  if (!isa_by_name(name, &request->isa) || !isa_runs_here(request->isa))
    return Status("ERR_ISA", "isa: this CPU cannot run \"" + name + "\"");
  const int64_t threads = arguments.integer("threads", default_thread_count());
  if (threads < 1 || threads > 256)
    return Status("ERR_ARGUMENT",
                  format_text("threads: expected 1 to 256, found %lld", static_cast<long long>(threads)));
  const int64_t buffer_bytes = arguments.integer("bufferBytes", 0);
  if (buffer_bytes < 0)
    return Status("ERR_ARGUMENT",
                  format_text("bufferBytes: expected 0 or more, found %lld", static_cast<long long>(buffer_bytes)));
  request->threads = static_cast<int>(threads);
  request->seconds = arguments.number("seconds", 1.0);
  request->buffer_bytes = static_cast<size_t>(buffer_bytes);
  return Status::ok();
}

}  // namespace

Napi::Value measure_ceilings_for_js(const Napi::CallbackInfo& info) {
  const Arguments arguments(info[0], "measureCeilings");
  CeilingRequest request;
  throw_if_error(info.Env(), read_request(arguments, &request));
  auto* worker = new CeilingWorker(info.Env(), request);
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace espalier
