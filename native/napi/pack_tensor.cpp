// SPDX-License-Identifier: Apache-2.0
#include "napi/pack_tensor.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "core/aligned_buffer.h"
#include "kernels/rotation/rotation.h"
#include "model/tensor_source.h"
#include "napi/arguments.h"
#include "napi/guard.h"
#include "napi/mapped_file.h"
#include "napi/offline_pool.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

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

struct Transform {
  std::shared_ptr<const MappedFile> scale_file;  // nullptr: no column scale
  TensorSource scale{};
  bool rotate_columns = false, rotate_rows = false;
  bool fills = false;
  float fill = 0;

  bool changes() const { return scale_file != nullptr || rotate_columns || rotate_rows || fills; }
};

Transform transform_of(const Napi::Value& value) {
  Transform transform;
  if (!value.IsObject()) return transform;
  const Arguments args(value, "transform");
  if (args.has("columnScale")) {
    const Arguments scale = args.object("columnScale");
    transform.scale_file = mapped_file_of(scale.value("file"));
    transform.scale = tensor_source_of(scale.value("source").As<Napi::Object>());
  }
  transform.rotate_columns = args.boolean("rotateColumns", false);
  transform.rotate_rows = args.boolean("rotateRows", false);
  transform.fills = args.has("fill");
  transform.fill = static_cast<float>(args.number("fill", 0));
  return transform;
}

Status scale_columns(float* values, int64_t rows, int64_t cols, const Transform& transform) {
  if (transform.scale.rows * transform.scale.cols != cols)
    return Status("ERR_SHAPE",
                  format_text("columnScale: expected %lld values, found %lld", static_cast<long long>(cols),
                              static_cast<long long>(transform.scale.rows * transform.scale.cols)));
  std::vector<float> scale(static_cast<size_t>(cols));
  ESP_RETURN_IF_ERROR(read_tensor_f32(*transform.scale_file, transform.scale, 0, transform.scale.rows, scale.data()));
  offline_pool().run_ranges(rows, 16, [&](int64_t begin, int64_t end, int) {
    for (int64_t row = begin; row < end; ++row)
      for (int64_t col = 0; col < cols; ++col) values[row * cols + col] *= scale[static_cast<size_t>(col)];
  });
  return Status::ok();
}

void rotate_columns(float* values, int64_t rows, int64_t cols) {
  const Rotation rotation(cols);
  offline_pool().run_ranges(rows, 16, [&](int64_t begin, int64_t end, int) {
    std::vector<float> scratch(static_cast<size_t>(cols));
    for (int64_t row = begin; row < end; ++row) rotation.apply(values + row * cols, scratch.data());
  });
}

// Rᵀ W: every column is rotated, some columns at a time through a transposed copy.
void rotate_rows(float* values, int64_t rows, int64_t cols) {
  const Rotation rotation(rows);
  constexpr int64_t kBlock = 16;
  offline_pool().run_ranges(cols, kBlock, [&](int64_t first, int64_t last, int) {
    std::vector<float> block(static_cast<size_t>(kBlock * rows)), scratch(static_cast<size_t>(rows));
    for (int64_t begin = first; begin < last; begin += kBlock) {
      const int64_t count = std::min(kBlock, last - begin);
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = 0; i < count; ++i) block[static_cast<size_t>(i * rows + row)] = values[row * cols + begin + i];
      for (int64_t i = 0; i < count; ++i) rotation.apply(block.data() + i * rows, scratch.data());
      for (int64_t row = 0; row < rows; ++row)
        for (int64_t i = 0; i < count; ++i) values[row * cols + begin + i] = block[static_cast<size_t>(i * rows + row)];
    }
  });
}

Status apply_transform(float* values, int64_t rows, int64_t cols, const Transform& transform) {
  if (transform.fills) std::fill(values, values + rows * cols, transform.fill);
  if (transform.scale_file) ESP_RETURN_IF_ERROR(scale_columns(values, rows, cols, transform));
  if (transform.rotate_columns) rotate_columns(values, rows, cols);
  // A vector [1, n] is a bias: b R.
  if (transform.rotate_rows && rows == 1) rotate_columns(values, rows, cols);
  if (transform.rotate_rows && rows > 1) rotate_rows(values, rows, cols);
  return Status::ok();
}

class PackWorker : public Napi::AsyncWorker {
 public:
  // format nullptr: plain floats.
  PackWorker(Napi::Env env, std::shared_ptr<const MappedFile> file, const TensorSource& source,
             const WeightFormat* format, Transform transform)
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
    ESP_RETURN_IF_ERROR(check_finite(plain.as<float>(), rows, cols));
    ESP_RETURN_IF_ERROR(apply_transform(plain.as<float>(), rows, cols, transform_));
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
  Transform transform_;
  AlignedBuffer packed_;
  size_t bytes_ = 0;
  Status status_;
};

}  // namespace

Napi::Value pack_tensor_for_js(const Napi::CallbackInfo& info) {
  const std::string id = info[2].ToString().Utf8Value();
  const WeightFormat* format = id == "vector" ? nullptr : format_of(info.Env(), id);
  auto* worker = new PackWorker(info.Env(), mapped_file_of(info[0]), tensor_source_of(info[1].As<Napi::Object>()),
                                format, transform_of(info[3]));
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
