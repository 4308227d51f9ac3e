// Status: how every core function reports failure. No exception crosses a layer.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <utility>

namespace espalier {

// code  a key of src/errors.ts, e.g. "ERR_SHAPE"
// what  what happened, with the values: argument, expected, found
// hint  how to mend it; may be empty
class [[nodiscard]] Status {
 public:
  Status() = default;
  Status(std::string code, std::string what, std::string hint = {})
      : code_(std::move(code)), what_(std::move(what)), hint_(std::move(hint)) {}

  static Status ok() { return Status(); }
  bool is_ok() const { return code_.empty(); }
  const std::string& code() const { return code_; }
  const std::string& what() const { return what_; }
  const std::string& hint() const { return hint_; }

 private:
  std::string code_;
  std::string what_;
  std::string hint_;
};

// printf-style text for messages.
std::string format_text(const char* pattern, ...) __attribute__((format(printf, 1, 2)));

#define ESP_RETURN_IF_ERROR(expression)            \
  do {                                             \
    ::espalier::Status esp_status_ = (expression); \
    if (!esp_status_.is_ok()) return esp_status_;  \
  } while (0)

}  // namespace espalier
