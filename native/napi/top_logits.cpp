// SPDX-License-Identifier: Apache-2.0
#include "napi/top_logits.h"

#include <memory>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/cpu_features.h"
#include "kernels/top_logits/top_logits.h"
#include "napi/guard.h"

namespace espalier {

struct TopLogitArrays::Kept {
  Napi::ObjectReference ids, values, log_sum_exp;
};

TopLogitArrays::TopLogitArrays(Napi::Env env, int64_t rows, int64_t top) : kept_(std::make_shared<Kept>()) {
  const size_t count = static_cast<size_t>(rows) * static_cast<size_t>(top);
  Napi::Int32Array id_array = Napi::Int32Array::New(env, count);
  Napi::Float32Array value_array = Napi::Float32Array::New(env, count);
  Napi::Float32Array sum_array = Napi::Float32Array::New(env, static_cast<size_t>(rows));
  ids = id_array.Data();
  values = value_array.Data();
  log_sum_exp = sum_array.Data();
  kept_->ids = Napi::Persistent(id_array.As<Napi::Object>());
  kept_->values = Napi::Persistent(value_array.As<Napi::Object>());
  kept_->log_sum_exp = Napi::Persistent(sum_array.As<Napi::Object>());
}

Napi::Object TopLogitArrays::object(Napi::Env env) const {
  Napi::Object out = Napi::Object::New(env);
  out.Set("ids", kept_->ids.Value());
  out.Set("values", kept_->values.Value());
  out.Set("logSumExp", kept_->log_sum_exp.Value());
  return out;
}

int64_t top_argument(Napi::Env env, const Napi::Value& value, int64_t vocab) {
  const double top = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : -1;
  if (top >= 1 && top <= static_cast<double>(vocab) && top == static_cast<double>(static_cast<int64_t>(top)))
    return static_cast<int64_t>(top);
  throw to_js_error(env, Status("ERR_ARGUMENT", format_text("top: expected 1 to %lld, the vocabulary, found %g",
                                                            static_cast<long long>(vocab), top)));
}

namespace {

class TopLogitsWorker : public Napi::AsyncWorker {
 public:
  TopLogitsWorker(Napi::Env env, const Napi::Float32Array& logits, int64_t vocab, int64_t top)
      : Napi::AsyncWorker(env, "espalier.topLogits"),
        deferred_(env),
        logits_(Napi::Persistent(logits.As<Napi::Object>())),
        rows_(static_cast<int64_t>(logits.ElementLength()) / vocab),
        arrays_(env, rows_, top),
        args_{logits.Data(), vocab, rows_, vocab, top, arrays_.ids, arrays_.values, arrays_.log_sum_exp} {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    const CpuContext context{nullptr, current_isa()};
    AlignedBuffer workspace;
    const size_t bytes = top_logits_workspace_size(context, args_);
    status_ = workspace.reserve(bytes);
    if (status_.is_ok()) status_ = top_logits(context, args_, workspace.as<void>(), bytes);
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (status_.is_ok())
      deferred_.Resolve(arrays_.object(Env()));
    else
      deferred_.Reject(to_js_error(Env(), status_).Value());
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Napi::Promise::Deferred deferred_;
  Napi::ObjectReference logits_;
  int64_t rows_;
  TopLogitArrays arrays_;
  TopLogitsArgs args_;
  Status status_;
};

}  // namespace

Napi::Value top_logits_for_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
    throw to_js_error(env, Status("ERR_ARGUMENT", "logits: expected a Float32Array"));
  const Napi::Float32Array logits = info[0].As<Napi::Float32Array>();
  const int64_t vocab = info[1].IsNumber() ? info[1].As<Napi::Number>().Int64Value() : 0;
  if (vocab < 1 || static_cast<int64_t>(logits.ElementLength()) % vocab != 0)
    throw to_js_error(env, Status("ERR_SHAPE", format_text("logits: expected rows of %lld values, found %zu values",
                                                           static_cast<long long>(vocab), logits.ElementLength())));
  auto* worker = new TopLogitsWorker(env, logits, vocab, top_argument(env, info[2], vocab));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace espalier
