// SPDX-License-Identifier: Apache-2.0
#include "napi/families.h"

#include "model/family.h"

namespace espalier {
namespace {

Napi::Array strings(Napi::Env env, const std::vector<const char*>& values) {
  Napi::Array out = Napi::Array::New(env, values.size());
  for (uint32_t i = 0; i < values.size(); ++i) out[i] = Napi::String::New(env, values[i]);
  return out;
}

Napi::Object pattern_object(Napi::Env env, const TensorPattern& pattern) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("role", pattern.role);
  out.Set("part", pattern.part);
  out.Set("name", pattern.name);
  out.Set("gguf", pattern.gguf);
  out.Set("rows", dim_name(pattern.rows));
  out.Set("cols", dim_name(pattern.cols));
  out.Set("when", when_name(pattern.when));
  out.Set("ggufRows", gguf_rows_name(pattern.gguf_rows));
  out.Set("linear", pattern.linear);
  return out;
}

Napi::Object family_object(Napi::Env env, const Family& family) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("id", family.id);
  out.Set("architectures", strings(env, family.architectures));
  out.Set("modelTypes", strings(env, family.model_types));
  out.Set("ggufArchitecture",
          family.gguf_architecture == nullptr ? env.Null() : Napi::String::New(env, family.gguf_architecture));
  out.Set("defaultKvHeads", family.default_kv_heads);
  out.Set("defaultMaxPositions", family.default_max_positions);
  Napi::Array tensors = Napi::Array::New(env, family.tensors.size());
  for (uint32_t i = 0; i < family.tensors.size(); ++i) tensors[i] = pattern_object(env, family.tensors[i]);
  out.Set("tensors", tensors);
  out.Set("ignorable", strings(env, family.ignorable));
  return out;
}

}  // namespace

Napi::Value families_for_js(const Napi::CallbackInfo& info) {
  Napi::Array out = Napi::Array::New(info.Env(), families().size());
  for (uint32_t i = 0; i < families().size(); ++i) out[i] = family_object(info.Env(), families()[i]);
  return out;
}

}  // namespace espalier
