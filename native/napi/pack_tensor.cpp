// SPDX-License-Identifier: Apache-2.0
#include "napi/pack_tensor.h"

#include <string>
#include <utility>

#include "core/aligned_buffer.h"
#include "model/weight_transform.h"
#include "napi/arguments.h"
#include "napi/guard.h"
#include "napi/mapped_file.h"
#include "napi/offline_pool.h"
#include "napi/weight_transform_arguments.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

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
             const WeightFormat* format, WeightTransform transform)
      : Napi::AsyncWorker(env, "espalier.packTensor"),
        deferred_(env),
        file_(std::move(file)),
        source_(source),
        format_(format),
        transform_(std::move(transform)) {}
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
    if (source_.quantized != nullptr && format_ != nullptr && format_->pack_quantized != nullptr &&
        !transform_.changes())
      return pack_codes();
    AlignedBuffer plain;
    const size_t plain_bytes = static_cast<size_t>(rows) * static_cast<size_t>(cols) * sizeof(float);
    ESP_RETURN_IF_ERROR(plain.reserve(plain_bytes));
    ESP_RETURN_IF_ERROR(read_tensor_f32(*file_, source_, 0, rows, plain.as<float>()));
    ESP_RETURN_IF_ERROR(transform_.changes()
                            ? apply_weight_transform(transform_, plain.as<float>(), rows, cols, &offline_pool())
                            : check_finite(plain.as<float>(), rows, cols, &offline_pool()));
    if (format_ == nullptr) {
      packed_ = std::move(plain);
      bytes_ = plain_bytes;
      return Status::ok();
    }
    bytes_ = format_->packed_bytes(rows, cols);
    ESP_RETURN_IF_ERROR(packed_.reserve(bytes_));
    return format_->pack(plain.as<float>(), rows, cols, packed_.as<void>(), &offline_pool());
  }

  // Codes and scales as they are stored.
  Status pack_codes() {
    QuantizedMatrix matrix;
    ESP_RETURN_IF_ERROR(read_quantized(*source_.quantized, &matrix));
    bytes_ = format_->packed_bytes(matrix.rows, matrix.cols);
    ESP_RETURN_IF_ERROR(packed_.reserve(bytes_));
    return format_->pack_quantized(matrix, packed_.as<void>(), &offline_pool());
  }

  Napi::Promise::Deferred deferred_;
  std::shared_ptr<const MappedFile> file_;
  TensorSource source_;
  const WeightFormat* format_;
  WeightTransform transform_;
  AlignedBuffer packed_;
  size_t bytes_ = 0;
  Status status_;
};

}  // namespace

Napi::Value pack_tensor_for_js(const Napi::CallbackInfo& info) {
  const std::string id = info[2].ToString().Utf8Value();
  const WeightFormat* format = id == "vector" ? nullptr : format_of(info.Env(), id);
  auto* worker = new PackWorker(info.Env(), mapped_file_of(info[0]), tensor_source_of(info[1].As<Napi::Object>()),
                                format, weight_transform_of(info[3]));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
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
    row.Set("inputScale", formats[i]->has_input_scale);
    list[static_cast<uint32_t>(i)] = row;
  }
  return list;
}

}  // namespace espalier
