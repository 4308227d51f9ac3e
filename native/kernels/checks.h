// ArgumentChecks: the argument checks of a kernel driver; the first failure wins and names operator and argument.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/status.h"

namespace espalier {

class ArgumentChecks {
 public:
  explicit ArgumentChecks(const char* op) : op_(op) {}

  ArgumentChecks& size(const char* name, int64_t value);                        // value >= 0
  ArgumentChecks& positive(const char* name, int64_t value);                    // value >= 1
  ArgumentChecks& at_most(const char* name, int64_t value, int64_t limit);      // ERR_SHAPE
  ArgumentChecks& stride(const char* name, int64_t stride, int64_t row_width);  // stride >= row_width, ERR_SHAPE
  ArgumentChecks& multiple(const char* name, int64_t value, int64_t divisor);   // ERR_SHAPE
  ArgumentChecks& pointer(const char* name, const void* value, bool needed);    // not nullptr when needed
  ArgumentChecks& index(const char* name, int64_t place, int64_t value, int64_t limit);  // value in [0, limit)
  ArgumentChecks& workspace(const void* data, size_t found, size_t needed);              // ERR_WORKSPACE

  bool is_ok() const { return status_.is_ok(); }
  Status done() { return std::move(status_); }

 private:
  const char* op_;
  Status status_;
};

}  // namespace espalier
