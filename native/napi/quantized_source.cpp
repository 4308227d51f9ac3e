// SPDX-License-Identifier: Apache-2.0
#include "napi/quantized_source.h"

#include <string>

#include "napi/arguments.h"
#include "napi/guard.h"
#include "napi/mapped_file.h"

namespace espalier {
namespace {

Napi::Error argument_error(Napi::Env env, const std::string& what) {
  return to_js_error(env, Status("ERR_ARGUMENT", what));
}

StoredPart part_of(const Napi::Value& value) {
  const Arguments args(value, "part");
  StoredPart part;
  part.file = mapped_file_of(args.value("file"));
  part.offset = static_cast<uint64_t>(args.integer("offset"));
  part.size_bytes = static_cast<uint64_t>(args.integer("sizeBytes"));
  const std::string type = args.string("type");
  const StoredTypeInfo* info = stored_type_by_name(type);
  if (info == nullptr)
    throw to_js_error(value.Env(), Status("ERR_QUANT_PARTS", "element type \"" + type + "\" is not read"));
  part.type = info->type;
  const Napi::Array shape = args.array("shape");
  for (uint32_t i = 0; i < shape.Length(); ++i) part.shape.push_back(shape.Get(i).As<Napi::Number>().Int64Value());
  return part;
}

}  // namespace

std::shared_ptr<const QuantizedSource> quantized_source_of(const Napi::Value& value) {
  const Arguments args(value, "quantized");
  auto source = std::make_shared<QuantizedSource>();
  source->layout = find_quant_layout(args.string("layout"));
  const CodeTypeInfo* type = code_type_by_name(args.string("type"));
  if (source->layout == nullptr) throw argument_error(value.Env(), "layout: unknown \"" + args.string("layout") + "\"");
  if (type == nullptr)
    throw argument_error(value.Env(), "type: expected one of " + code_type_names() + ", found " + args.string("type"));
  source->type = type->type;
  source->rows = args.integer("rows");
  source->cols = args.integer("cols");
  source->grid = {args.integer("rowSpan"), args.integer("colSpan"), args.boolean("acrossRows", false)};
  source->zeros = args.boolean("zeros", false);
  source->zero_offset = args.integer("zeroOffset", 0);
  source->nested_offset = args.number("nestedOffset", 0);
  const Napi::Object parts = args.value("parts").As<Napi::Object>();
  const Napi::Array names = parts.GetPropertyNames();
  for (uint32_t i = 0; i < names.Length(); ++i) {
    const std::string suffix = names.Get(i).As<Napi::String>().Utf8Value();
    source->parts[suffix] = part_of(parts.Get(suffix));
  }
  throw_if_error(value.Env(), check_quantized_source(*source));
  return source;
}

Napi::Value quant_layouts_for_js(const Napi::CallbackInfo& info) {
  Napi::Array list = Napi::Array::New(info.Env());
  for (const QuantLayout* layout : quant_layouts()) {
    Napi::Array parts = Napi::Array::New(info.Env());
    for (const LayoutPart& part : layout->parts) {
      Napi::Object row = Napi::Object::New(info.Env());
      row.Set("suffix", part.suffix);
      row.Set("types", part.types);
      row.Set("required", part.required);
      parts.Set(parts.Length(), row);
    }
    Napi::Object row = Napi::Object::New(info.Env());
    row.Set("id", layout->id);
    row.Set("parts", parts);
    row.Set("written", layout->write != nullptr);
    list.Set(list.Length(), row);
  }
  return list;
}

Napi::Value check_quantized_for_js(const Napi::CallbackInfo& info) {
  quantized_source_of(info[0]);
  return info.Env().Undefined();
}

}  // namespace espalier
