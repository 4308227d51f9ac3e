// Reading options objects at the border: every getter names the field it failed on.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <napi.h>

#include <cstdint>
#include <string>
#include <vector>

namespace espalier {

// A view of one options object; `what` names it in errors ("engine config").
class Arguments {
 public:
  Arguments(const Napi::Value& value, const char* what);

  bool has(const char* key) const;
  // The value or, when absent, the fallback; without a fallback absence is ERR_ARGUMENT. Wrong types always are.
  int64_t integer(const char* key) const;
  int64_t integer(const char* key, int64_t fallback) const;
  double number(const char* key) const;
  double number(const char* key, double fallback) const;
  bool boolean(const char* key, bool fallback) const;
  std::string string(const char* key) const;
  std::string string(const char* key, const std::string& fallback) const;
  // An Int32Array, copied; absent gives an empty vector.
  std::vector<int32_t> int32_array(const char* key) const;
  // A Float32Array, likewise.
  std::vector<float> float32_array(const char* key) const;
  Arguments object(const char* key) const;
  Napi::Array array(const char* key) const;
  Napi::Value value(const char* key) const { return object_.Get(key); }

 private:
  [[noreturn]] void fail(const char* key, const char* expected) const;
  Napi::Object object_;
  std::string what_;
};

}  // namespace espalier
