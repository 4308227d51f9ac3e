// SPDX-License-Identifier: Apache-2.0
#include "napi/quantize_tensor.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/aligned_buffer.h"
#include "core/cpu_features.h"
#include "core/dtype.h"
#include "model/weight_transform.h"
#include "napi/arguments.h"
#include "napi/guard.h"
#include "napi/mapped_file.h"
#include "napi/offline_pool.h"
#include "napi/weight_transform_arguments.h"
#include "napi/written_parts.h"

namespace espalier {
namespace {

Napi::Error argument_error(Napi::Env env, const std::string& what) {
  return to_js_error(env, Status("ERR_ARGUMENT", what));
}

struct Job {
  const NumberFormat* format = nullptr;
  QuantizeOptions options;
  WeightWriter writer = nullptr;  // nullptr: dequantized again, in `dense`
  DType dense = DType::kF32;
  WriteOptions write;
};

RangeMethod method_of(Napi::Env env, const std::string& name) {
  constexpr std::pair<const char*, RangeMethod> kMethods[] = {{"max", RangeMethod::kMax},
                                                              {"percentile", RangeMethod::kPercentile},
                                                              {"mse", RangeMethod::kMse},
                                                              {"hqq", RangeMethod::kHqq}};
  for (const auto& [id, method] : kMethods)
    if (name == id) return method;
  throw argument_error(env, "method: expected max, percentile, mse or hqq, found \"" + name + "\"");
}

// A name of the three float types -> how scales are rounded, and stored.
void set_scale_type(const std::string& name, Job* job) {
  const DTypeInfo* info = dtype_by_name(name.c_str());
  const DType dtype = info != nullptr ? info->dtype : DType::kF32;
  job->options.scale_type = dtype == DType::kF16    ? ScaleType::kF16
                            : dtype == DType::kBF16 ? ScaleType::kBF16
                                                    : ScaleType::kF32;
  job->write.scale_type = stored_float_type(name);
}

void set_source_dtype(const std::string& name, Job* job) {
  const DTypeInfo* info = dtype_by_name(name.c_str());
  job->dense = info != nullptr ? info->dtype : DType::kF32;
  job->write.source_dtype = job->dense == DType::kF16 ? "float16" : job->dense == DType::kBF16 ? "bfloat16" : "float32";
}

Job job_of(const Napi::Value& value) {
  const Arguments args(value, "quantizeTensor");
  Job job;
  job.format = find_number_format(args.string("format"));
  if (job.format == nullptr)
    throw argument_error(
        value.Env(), "format: expected one of " + number_format_names() + ", found \"" + args.string("format") + "\"");
  const std::string layout = args.string("layout");
  if (layout != "dense") job.writer = weight_writer_of(value.Env(), layout);
  job.options.symmetric = args.boolean("symmetric", true);
  job.options.group = args.integer("group", -1);
  job.options.block_rows = args.integer("blockRows", 0);
  job.options.block_cols = args.integer("blockCols", 0);
  job.options.method = method_of(value.Env(), args.string("method", "max"));
  job.options.percentile = args.number("percentile", 0.9999);
  job.options.integer_zeros = job.writer != nullptr;
  job.write.nested = args.boolean("nested", false);
  set_scale_type(args.string("scaleType", "f32"), &job);
  if (job.format->own_scale == ScaleType::kE8M0) job.write.scale_type = StoredType::kU8;
  set_source_dtype(args.string("sourceDtype", "f32"), &job);
  return job;
}

class QuantizeWorker : public Napi::AsyncWorker {
 public:
  QuantizeWorker(Napi::Env env, std::shared_ptr<const MappedFile> file, TensorSource source, const Job& job,
                 WeightTransform transform)
      : Napi::AsyncWorker(env, "espalier.quantizeTensor"),
        deferred_(env),
        file_(std::move(file)),
        source_(std::move(source)),
        job_(job),
        transform_(std::move(transform)) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      status_ = quantize();
    } catch (const std::exception& error) {
      status_ = Status("ERR_OUT_OF_MEMORY", error.what());
    }
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (!status_.is_ok()) return deferred_.Reject(to_js_error(Env(), status_).Value());
    Napi::Object out = Napi::Object::New(Env());
    out.Set("parts", written_parts_for_js(Env(), std::move(parts_)));
    out.Set("squaredError", error_.squared_error);
    out.Set("squaredSum", error_.squared_sum);
    out.Set("largestError", error_.largest_error);
    deferred_.Resolve(out);
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Status quantize() {
    const int64_t rows = source_.rows, cols = source_.cols;
    ESP_RETURN_IF_ERROR(check_tensor_source(*file_, source_));
    AlignedBuffer plain;
    ESP_RETURN_IF_ERROR(plain.reserve(static_cast<size_t>(rows) * static_cast<size_t>(cols) * sizeof(float)));
    float* w = plain.as<float>();
    ESP_RETURN_IF_ERROR(read_tensor_f32(*file_, source_, 0, rows, w));
    ESP_RETURN_IF_ERROR(apply_weight_transform(transform_, w, rows, cols, &offline_pool()));
    QuantizedMatrix matrix;
    ESP_RETURN_IF_ERROR(
        quantize_matrix(*job_.format, job_.options, w, rows, cols, current_isa(), &offline_pool(), &matrix));
    error_ = quantization_error(matrix, w, &offline_pool());
    return job_.writer != nullptr ? job_.writer(matrix, job_.write, &parts_) : write_dense(matrix, w);
  }

  // What the weight is after rounding, in the source's own type.
  Status write_dense(const QuantizedMatrix& matrix, float* w) {
    offline_pool().run_ranges(matrix.rows, 16, [&](int64_t begin, int64_t end, int) {
      dequantize_rows(matrix, begin, end - begin, w + begin * matrix.cols);
    });
    const StoredType type = stored_float_type(dtype_info(job_.dense)->name);
    const size_t count = matrix.codes.size();
    WrittenPart part{"weight", type, {matrix.rows, matrix.cols}, CodeVector(count * dtype_size(job_.dense))};
    convert_from_f32(job_.dense, w, part.bytes.data(), count);
    parts_.push_back(std::move(part));
    return Status::ok();
  }

  Napi::Promise::Deferred deferred_;
  std::shared_ptr<const MappedFile> file_;
  TensorSource source_;
  Job job_;
  WeightTransform transform_;
  std::vector<WrittenPart> parts_;
  QuantizationError error_;
  Status status_;
};

}  // namespace

Napi::Value quantize_tensor_for_js(const Napi::CallbackInfo& info) {
  auto* worker = new QuantizeWorker(info.Env(), mapped_file_of(info[0]), tensor_source_of(info[1].As<Napi::Object>()),
                                    job_of(info[2]), weight_transform_of(info[3]));
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

Napi::Value number_formats_for_js(const Napi::CallbackInfo& info) {
  Napi::Array list = Napi::Array::New(info.Env());
  for (const NumberFormat* format : number_formats()) {
    const CodeTypeInfo& type = code_type_info(format->type);
    Napi::Object row = Napi::Object::New(info.Env());
    row.Set("id", format->id);
    row.Set("type", type.name);
    row.Set("bits", type.bits);
    row.Set("asymmetric", format->can_be_asymmetric);
    row.Set("group", static_cast<double>(format->group));
    row.Set("groupsFixed", format->groups_fixed);
    list.Set(list.Length(), row);
  }
  return list;
}

}  // namespace espalier
