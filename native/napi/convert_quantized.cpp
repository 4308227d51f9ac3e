// SPDX-License-Identifier: Apache-2.0
#include "napi/convert_quantized.h"

#include <memory>
#include <utility>
#include <vector>

#include "napi/arguments.h"
#include "napi/guard.h"
#include "napi/quantized_source.h"
#include "napi/written_parts.h"

namespace espalier {
namespace {

class ConvertWorker : public Napi::AsyncWorker {
 public:
  ConvertWorker(Napi::Env env, std::shared_ptr<const QuantizedSource> source, WeightWriter write, StoredType scale_type)
      : Napi::AsyncWorker(env, "espalier.convertQuantized"),
        deferred_(env),
        source_(std::move(source)),
        write_(write),
        scale_type_(scale_type) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      status_ = convert();
    } catch (const std::exception& error) {
      status_ = Status("ERR_OUT_OF_MEMORY", error.what());
    }
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (!status_.is_ok()) return deferred_.Reject(to_js_error(Env(), status_).Value());
    deferred_.Resolve(written_parts_for_js(Env(), std::move(parts_)));
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Status convert() {
    QuantizedMatrix matrix;
    ESP_RETURN_IF_ERROR(read_quantized(*source_, &matrix));
    WriteOptions options;
    options.scale_type = scale_type_;
    return write_(matrix, options, &parts_);
  }

  Napi::Promise::Deferred deferred_;
  std::shared_ptr<const QuantizedSource> source_;
  WeightWriter write_;
  StoredType scale_type_;
  std::vector<WrittenPart> parts_;
  Status status_;
};

}  // namespace

Napi::Value convert_quantized_for_js(const Napi::CallbackInfo& info) {
  const Arguments args(info[1], "convertQuantized");
  auto* worker =
      new ConvertWorker(info.Env(), quantized_source_of(info[0]), weight_writer_of(info.Env(), args.string("layout")),
                        stored_float_type(args.string("scaleType")));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace espalier
