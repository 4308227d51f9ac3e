// SPDX-License-Identifier: Apache-2.0
#include "napi/mapped_file.h"

#include <cmath>
#include <string>
#include <utility>

#include "napi/guard.h"
#include "napi/offline_pool.h"
#include "napi/quantized_source.h"
#include "napi/weight_transform_arguments.h"

namespace espalier {
namespace {

const napi_type_tag kMappedFileTag = {0x5d7b0c6e1f2a4938ull, 0x9c41e8d27ab3f605ull};

Napi::Error argument_error(Napi::Env env, const std::string& what) {
  return to_js_error(env, Status("ERR_ARGUMENT", what));
}

// Whole number in [0, 2^53).
uint64_t whole_number(const Napi::Object& options, const char* key, double fallback = -1) {
  const Napi::Value value = options.Get(key);
  const double number =
      value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : (value.IsUndefined() ? fallback : -1);
  if (!(number >= 0) || number >= 9007199254740992.0 || number != std::floor(number))
    throw argument_error(options.Env(), std::string(key) + ": expected a whole number from 0 to 2^53 - 1, found " +
                                            value.ToString().Utf8Value());
  return static_cast<uint64_t>(number);
}

class MappedFileClass : public Napi::ObjectWrap<MappedFileClass> {
 public:
  explicit MappedFileClass(const Napi::CallbackInfo& info) : Napi::ObjectWrap<MappedFileClass>(info) {
    if (!info[0].IsString()) throw argument_error(info.Env(), "path: expected a string");
    throw_if_error(info.Env(), MappedFile::open(info[0].As<Napi::String>().Utf8Value(), &file_));
    path_ = file_->path();
    size_ = file_->size();
    info.This().As<Napi::Object>().TypeTag(&kMappedFileTag);
  }

  Napi::Value path(const Napi::CallbackInfo& info) { return Napi::String::New(info.Env(), path_); }
  Napi::Value size_bytes(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), static_cast<double>(size_));
  }
  Napi::Value closed(const Napi::CallbackInfo& info) { return Napi::Boolean::New(info.Env(), !file_); }
  // Reads under way keep the file open until they are done.
  Napi::Value close(const Napi::CallbackInfo& info) {
    file_.reset();
    return info.Env().Undefined();
  }

  std::shared_ptr<const MappedFile> file_;
  std::string path_;

 private:
  uint64_t size_ = 0;
};

// Fills `out` on a libuv thread; the reference keeps its memory alive.
class ReadWorker : public Napi::AsyncWorker {
 public:
  ReadWorker(Napi::Env env, std::shared_ptr<const MappedFile> file, const TensorSource& source, int64_t row_begin,
             int64_t row_count, DType dtype, WeightTransform transform, const Napi::Uint8Array& out)
      : Napi::AsyncWorker(env, "espalier.readTensor"),
        deferred_(Napi::Promise::Deferred::New(env)),
        file_(std::move(file)),
        source_(source),
        row_begin_(row_begin),
        row_count_(row_count),
        dtype_(dtype),
        transform_(std::move(transform)),
        out_(static_cast<char*>(out.ArrayBuffer().Data()) + out.ByteOffset()),
        keep_(Napi::Persistent(out.As<Napi::Object>())) {}

  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      status_ = read_transformed_as(*file_, source_, transform_, row_begin_, row_count_, dtype_, &offline_pool(), out_);
    } catch (const std::exception& error) {
      status_ = Status("ERR_OUT_OF_MEMORY", error.what());
    }
    file_.reset();
  }
  void OnOK() override {
    try {
      if (status_.is_ok()) {
        deferred_.Resolve(Env().Undefined());
      } else {
        deferred_.Reject(to_js_error(Env(), status_).Value());
      }
    } catch (const Napi::Error&) {
      // The worker thread is being terminated: JavaScript can no longer run and nobody awaits the promise.
    }
  }

 private:
  Napi::Promise::Deferred deferred_;
  std::shared_ptr<const MappedFile> file_;
  TensorSource source_;
  int64_t row_begin_, row_count_;
  DType dtype_;
  WeightTransform transform_;
  void* out_;
  Napi::ObjectReference keep_;
  Status status_;
};

}  // namespace

Napi::Function mapped_file_class(Napi::Env env) {
  using Class = MappedFileClass;
  return Class::DefineClass(
      env, "MappedFile",
      {Class::InstanceAccessor<&Class::path>("path"), Class::InstanceAccessor<&Class::size_bytes>("sizeBytes"),
       Class::InstanceAccessor<&Class::closed>("closed"), Class::InstanceMethod<&Class::close>("close")});
}

std::shared_ptr<const MappedFile> mapped_file_of(const Napi::Value& value) {
  if (!value.IsObject() || !value.As<Napi::Object>().CheckTypeTag(&kMappedFileTag))
    throw argument_error(value.Env(), "file: expected a MappedFile");
  const MappedFileClass* wrapped = MappedFileClass::Unwrap(value.As<Napi::Object>());
  if (!wrapped->file_) throw to_js_error(value.Env(), Status("ERR_FILE_CLOSED", wrapped->path_ + ": already closed"));
  return wrapped->file_;
}

TensorSource tensor_source_of(const Napi::Object& options) {
  if (options.Get("quantized").IsObject()) {
    TensorSource source{0, 0, SourceType::kF32, 0, 0, 0, quantized_source_of(options.Get("quantized"))};
    source.rows = source.quantized->rows;
    source.cols = source.quantized->cols;
    return source;
  }
  const Napi::Value type = options.Get("type");
  const std::string name = type.IsString() ? type.As<Napi::String>().Utf8Value() : "";
  const SourceTypeInfo* info = source_type_by_name(name);
  if (info == nullptr)
    throw to_js_error(
        options.Env(),
        Status("ERR_GGUF_TYPE", "tensor type \"" + name + "\" cannot be read; readable: " + source_type_names()));
  const uint64_t heads = whole_number(options, "permuteHeads", 0);
  if (heads > INT32_MAX) throw argument_error(options.Env(), "permuteHeads: too large");
  return {whole_number(options, "offset"),
          whole_number(options, "sizeBytes"),
          info->type,
          static_cast<int64_t>(whole_number(options, "rows")),
          static_cast<int64_t>(whole_number(options, "cols")),
          static_cast<int32_t>(heads),
          nullptr};
}

Napi::Value source_types_for_js(const Napi::CallbackInfo& info) {
  Napi::Array out = Napi::Array::New(info.Env());
  for (const SourceTypeInfo& type : source_types()) {
    Napi::Object row = Napi::Object::New(info.Env());
    row.Set("name", type.name);
    row.Set("blockElements", type.block_elements);
    row.Set("blockBytes", type.block_bytes);
    row.Set("writable", type.quantize != nullptr);
    out.Set(out.Length(), row);
  }
  return out;
}

Napi::Value read_tensor_for_js(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  std::shared_ptr<const MappedFile> file = mapped_file_of(info[0]);
  if (!info[1].IsObject() || !info[2].IsObject() || !info[3].IsTypedArray())
    throw argument_error(env, "readTensor: expected (MappedFile, source, range, Uint8Array)");
  const TensorSource source = tensor_source_of(info[1].As<Napi::Object>());
  const Napi::Object range = info[2].As<Napi::Object>();
  const uint64_t row_begin = whole_number(range, "rowBegin", 0);
  const uint64_t row_count = whole_number(range, "rowCount", static_cast<double>(source.rows));
  const Napi::Value name = range.Get("dtype");
  const DTypeInfo* dtype = dtype_by_name(name.IsString() ? name.As<Napi::String>().Utf8Value().c_str() : "f32");
  if (dtype == nullptr || (dtype->dtype != DType::kF32 && dtype->dtype != DType::kF16 && dtype->dtype != DType::kBF16))
    throw argument_error(env, "dtype: expected f32, f16 or bf16");
  throw_if_error(env, check_tensor_source(*file, source));
  const Napi::Uint8Array out = info[3].As<Napi::Uint8Array>();
  uint64_t expected = 0;
  if (__builtin_mul_overflow(row_count, static_cast<uint64_t>(source.cols), &expected) ||
      __builtin_mul_overflow(expected, static_cast<uint64_t>(dtype->size_bytes), &expected) ||
      expected != out.ByteLength())
    throw argument_error(env, format_text("out: expected %llu bytes, found %zu",
                                          static_cast<unsigned long long>(expected), out.ByteLength()));
  auto* worker =
      new ReadWorker(env, std::move(file), source, static_cast<int64_t>(row_begin), static_cast<int64_t>(row_count),
                     dtype->dtype, weight_transform_of(range.Get("transform")), out);
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace espalier
