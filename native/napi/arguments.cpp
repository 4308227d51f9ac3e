// SPDX-License-Identifier: Apache-2.0
#include "napi/arguments.h"

#include <cmath>

#include "napi/guard.h"

namespace espalier {

Arguments::Arguments(const Napi::Value& value, const char* what) : what_(what) {
  if (!value.IsObject()) throw to_js_error(value.Env(), Status("ERR_ARGUMENT", what_ + ": expected an object"));
  object_ = value.As<Napi::Object>();
}

void Arguments::fail(const char* key, const char* expected) const {
  const std::string found = object_.Get(key).ToString().Utf8Value();
  throw to_js_error(object_.Env(),
                    Status("ERR_ARGUMENT", what_ + "." + key + ": expected " + expected + ", found " + found));
}

bool Arguments::has(const char* key) const {
  const Napi::Value value = object_.Get(key);
  return !value.IsUndefined() && !value.IsNull();
}

double Arguments::number(const char* key) const {
  const Napi::Value value = object_.Get(key);
  if (!value.IsNumber()) fail(key, "a number");
  return value.As<Napi::Number>().DoubleValue();
}

double Arguments::number(const char* key, double fallback) const { return has(key) ? number(key) : fallback; }

int64_t Arguments::integer(const char* key) const {
  const double value = number(key);
  if (!(std::fabs(value) <= 9007199254740991.0) || value != std::floor(value)) fail(key, "an integer");
  return static_cast<int64_t>(value);
}

int64_t Arguments::integer(const char* key, int64_t fallback) const { return has(key) ? integer(key) : fallback; }

bool Arguments::boolean(const char* key, bool fallback) const {
  if (!has(key)) return fallback;
  if (!object_.Get(key).IsBoolean()) fail(key, "true or false");
  return object_.Get(key).As<Napi::Boolean>().Value();
}

std::string Arguments::string(const char* key) const {
  if (!object_.Get(key).IsString()) fail(key, "a string");
  return object_.Get(key).As<Napi::String>().Utf8Value();
}

std::string Arguments::string(const char* key, const std::string& fallback) const {
  return has(key) ? string(key) : fallback;
}

std::vector<int32_t> Arguments::int32_array(const char* key) const {
  if (!has(key)) return {};
  const Napi::Value value = object_.Get(key);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_int32_array)
    fail(key, "an Int32Array");
  const Napi::Int32Array ids = value.As<Napi::Int32Array>();
  return std::vector<int32_t>(ids.Data(), ids.Data() + ids.ElementLength());
}

std::vector<float> Arguments::float32_array(const char* key) const {
  if (!has(key)) return {};
  const Napi::Value value = object_.Get(key);
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float32_array)
    fail(key, "a Float32Array");
  const Napi::Float32Array values = value.As<Napi::Float32Array>();
  return std::vector<float>(values.Data(), values.Data() + values.ElementLength());
}

Arguments Arguments::object(const char* key) const {
  if (!object_.Get(key).IsObject()) fail(key, "an object");
  return Arguments(object_.Get(key), (what_ + "." + key).c_str());
}

Napi::Array Arguments::array(const char* key) const {
  if (!object_.Get(key).IsArray()) fail(key, "an array");
  return object_.Get(key).As<Napi::Array>();
}

}  // namespace espalier
