// SPDX-License-Identifier: Apache-2.0
#include "napi/written_parts.h"

#include <utility>

#include "napi/guard.h"
#include "quant/layouts/onnx.h"

namespace espalier {

WeightWriter weight_writer_of(Napi::Env env, const std::string& layout) {
  if (layout == "onnx") return write_onnx_weight;
  const QuantLayout* found = find_quant_layout(layout);
  if (found == nullptr || found->write == nullptr)
    throw to_js_error(env, Status("ERR_ARGUMENT", "layout: \"" + layout + "\" is not written"));
  return found->write;
}

StoredType stored_float_type(const std::string& name) {
  return name == "f16" ? StoredType::kF16 : name == "bf16" ? StoredType::kBF16 : StoredType::kF32;
}

namespace {

Napi::Object part_for_js(Napi::Env env, WrittenPart part) {
  Napi::Object row = Napi::Object::New(env);
  row.Set("suffix", part.suffix);
  row.Set("type", stored_type_info(part.type).name);
  Napi::Array shape = Napi::Array::New(env);
  for (const int64_t size : part.shape) shape.Set(shape.Length(), static_cast<double>(size));
  row.Set("shape", shape);
  auto* bytes = new CodeVector(std::move(part.bytes));
  row.Set("data",
          Napi::Buffer<uint8_t>::NewOrCopy(
              env, bytes->data(), bytes->size(), [](Napi::Env, uint8_t*, CodeVector* owned) { delete owned; }, bytes));
  return row;
}

}  // namespace

Napi::Array written_parts_for_js(Napi::Env env, std::vector<WrittenPart> parts) {
  Napi::Array out = Napi::Array::New(env);
  for (WrittenPart& part : parts) out.Set(out.Length(), part_for_js(env, std::move(part)));
  return out;
}

}  // namespace espalier
