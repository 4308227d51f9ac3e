// SPDX-License-Identifier: Apache-2.0
#include "napi/encode_blocks.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "core/aligned_buffer.h"
#include "model/tensor_blocks.h"
#include "napi/arguments.h"
#include "napi/guard.h"
#include "napi/mapped_file.h"
#include "napi/offline_pool.h"

namespace espalier {
namespace {

class EncodeWorker : public Napi::AsyncWorker {
 public:
  EncodeWorker(Napi::Env env, std::shared_ptr<const MappedFile> file, const TensorSource& source, const BlockRows& rows)
      : Napi::AsyncWorker(env, "espalier.encodeBlocks"),
        deferred_(env),
        file_(std::move(file)),
        source_(source),
        rows_(rows) {}
  Napi::Promise promise() const { return deferred_.Promise(); }

 protected:
  void Execute() override {
    try {
      status_ = quantize();
    } catch (const std::exception& error) {
      status_ = Status("ERR_OUT_OF_MEMORY", error.what());
    }
    file_.reset();
  }

  void OnOK() override {
    const Napi::HandleScope scope(Env());
    if (!status_.is_ok()) {
      deferred_.Reject(to_js_error(Env(), status_).Value());
      return;
    }
    auto* owned = new AlignedBuffer(std::move(blocks_));
    deferred_.Resolve(Napi::Buffer<char>::NewOrCopy(
        Env(), owned->as<char>(), bytes_, [](Napi::Env, char*, AlignedBuffer* buffer) { delete buffer; }, owned));
  }
  void OnError(const Napi::Error& error) override { deferred_.Reject(error.Value()); }

 private:
  Status quantize() {
    const int64_t bytes = block_rows_bytes(source_, rows_);
    bytes_ = bytes < 0 ? 0 : static_cast<size_t>(bytes);  // what is wrong, encode_block_rows says
    ESP_RETURN_IF_ERROR(blocks_.reserve(bytes_));
    return encode_block_rows(*file_, source_, rows_, &offline_pool(), blocks_.as<uint8_t>());
  }

  Napi::Promise::Deferred deferred_;
  std::shared_ptr<const MappedFile> file_;
  TensorSource source_;
  BlockRows rows_;
  AlignedBuffer blocks_;
  size_t bytes_ = 0;
  Status status_;
};

SourceType writable_type(Napi::Env env, const std::string& name) {
  const SourceTypeInfo* info = source_type_by_name(name);
  if (info != nullptr && info->quantize != nullptr) return info->type;
  std::string known;
  for (const SourceTypeInfo& row : source_types())
    if (row.quantize != nullptr) known += (known.empty() ? "" : ", ") + std::string(row.name);
  throw to_js_error(env, Status("ERR_GGUF_TYPE", "type: expected one of " + known + ", found \"" + name + "\""));
}

}  // namespace

Napi::Value encode_blocks_for_js(const Napi::CallbackInfo& info) {
  std::shared_ptr<const MappedFile> file = mapped_file_of(info[0]);
  const Arguments source_args(info[1], "source"), args(info[2], "rows");
  const TensorSource source = tensor_source_of(info[1].As<Napi::Object>());
  const BlockRows rows = {args.integer("rowBegin", 0), args.integer("rowCount", source.rows),
                          writable_type(info.Env(), args.string("type")),
                          static_cast<int32_t>(std::min<int64_t>(args.integer("interleaveHeads", 0), INT32_MAX))};
  auto* worker = new EncodeWorker(info.Env(), std::move(file), source, rows);
  const Napi::Promise promise = worker->promise();
  worker->Queue();
  return promise;
}

}  // namespace espalier
