// SPDX-License-Identifier: Apache-2.0
#include "napi/pack_tensor.h"

#include <atomic>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>

#include "core/aligned_buffer.h"
#include "core/thread_pool.h"
#include "model/tensor_source.h"
#include "napi/guard.h"
#include "napi/mapped_file.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

// Shared by all offline work of the process. A function-local static: it joins its threads when the addon is unloaded.
ThreadPool& offline_pool() {
  static ThreadPool pool;
  return pool;
}

Status check_finite(const float* values, int64_t rows, int64_t cols) {
  std::atomic<int64_t> first_bad{-1};
  offline_pool().run_ranges(rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin * cols; i < end * cols; ++i)
      if (!std::isfinite(values[i])) {
        first_bad.store(i);
        return;
      }
  });
  const int64_t at = first_bad.load();
  if (at < 0) return Status::ok();
  return Status("ERR_WEIGHT_VALUE", format_text("element [%lld, %lld]: expected a finite value, found %g",
                                                static_cast<long long>(at / cols), static_cast<long long>(at % cols),
                                                static_cast<double>(values[at])));
}

const WeightFormat* format_of(Napi::Env env, const std::string& id) {
  const WeightFormat* format = find_weight_format(id);
  if (format == nullptr)
    throw to_js_error(env, Status("ERR_WEIGHT_FORMAT",
                                  "format: expected one of " + weight_format_names() + ", found \"" + id + "\""));
  return format;
}

class PackWorker : public Napi::AsyncWorker {
 public:
  // format nullptr: plain floats.
  PackWorker(Napi::Env env, std::shared_ptr<const MappedFile> file, const TensorSource& source,
             const WeightFormat* format)
      : Napi::AsyncWorker(env, "espalier.packTensor"),
        deferred_(env),
        file_(std::move(file)),
        source_(source),
        format_(format) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      status_ = pack();
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
    auto* owned = new AlignedBuffer(std::move(packed_));
    deferred_.Resolve(Napi::Buffer<char>::NewOrCopy(
        Env(), owned->as<char>(), bytes_, [](Napi::Env, char*, AlignedBuffer* buffer) { delete buffer; }, owned));
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Status pack() {
    const int64_t rows = source_.rows, cols = source_.cols;
    ESP_RETURN_IF_ERROR(check_tensor_source(*file_, source_));
    AlignedBuffer plain;
    const size_t plain_bytes = static_cast<size_t>(rows) * static_cast<size_t>(cols) * sizeof(float);
    ESP_RETURN_IF_ERROR(plain.reserve(plain_bytes));
    ESP_RETURN_IF_ERROR(read_tensor_f32(*file_, source_, 0, rows, plain.as<float>()));
    ESP_RETURN_IF_ERROR(check_finite(plain.as<float>(), rows, cols));
    if (format_ == nullptr) {
      packed_ = std::move(plain);
      bytes_ = plain_bytes;
      return Status::ok();
    }
    bytes_ = format_->packed_bytes(rows, cols);
    ESP_RETURN_IF_ERROR(packed_.reserve(bytes_));
    return format_->pack(plain.as<float>(), rows, cols, packed_.as<void>(), &offline_pool());
  }

  Napi::Promise::Deferred deferred_;
  std::shared_ptr<const MappedFile> file_;
  TensorSource source_;
  const WeightFormat* format_;
  AlignedBuffer packed_;
  size_t bytes_ = 0;
  Status status_;
};

}  // namespace

Napi::Value pack_tensor_for_js(const Napi::CallbackInfo& info) {
  const std::string id = info[2].ToString().Utf8Value();
  const WeightFormat* format = id == "vector" ? nullptr : format_of(info.Env(), id);
  auto* worker =
      new PackWorker(info.Env(), mapped_file_of(info[0]), tensor_source_of(info[1].As<Napi::Object>()), format);
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value packed_bytes_for_js(const Napi::CallbackInfo& info) {
  const WeightFormat* format = format_of(info.Env(), info[0].ToString().Utf8Value());
  const size_t bytes = format->packed_bytes(info[1].ToNumber().Int64Value(), info[2].ToNumber().Int64Value());
  return Napi::Number::New(info.Env(), static_cast<double>(bytes));
}

Napi::Value weight_formats_for_js(const Napi::CallbackInfo& info) {
  const auto& formats = weight_formats();
  Napi::Array list = Napi::Array::New(info.Env(), formats.size());
  for (size_t i = 0; i < formats.size(); ++i) {
    Napi::Object row = Napi::Object::New(info.Env());
    row.Set("id", formats[i]->id);
    row.Set("activation", formats[i]->activation);
    row.Set("bitsPerWeight", formats[i]->bits_per_weight);
    row.Set("layoutVersion", formats[i]->layout_version);
    list[static_cast<uint32_t>(i)] = row;
  }
  return list;
}

}  // namespace espalier
