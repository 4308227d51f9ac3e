// SPDX-License-Identifier: Apache-2.0
#include "kernels/checks.h"

namespace espalier {

using Long = long long;  // what %lld wants, whatever int64_t is

ArgumentChecks& ArgumentChecks::size(const char* name, int64_t value) {
  if (is_ok() && value < 0)
    status_ = Status("ERR_ARGUMENT", format_text("%s: %s: expected 0 or more, found %lld", op_, name, Long(value)));
  return *this;
}

ArgumentChecks& ArgumentChecks::positive(const char* name, int64_t value) {
  if (is_ok() && value < 1)
    status_ = Status("ERR_ARGUMENT", format_text("%s: %s: expected 1 or more, found %lld", op_, name, Long(value)));
  return *this;
}

ArgumentChecks& ArgumentChecks::at_most(const char* name, int64_t value, int64_t limit) {
  if (is_ok() && value > limit)
    status_ = Status("ERR_SHAPE",
                     format_text("%s: %s: expected at most %lld, found %lld", op_, name, Long(limit), Long(value)));
  return *this;
}

ArgumentChecks& ArgumentChecks::stride(const char* name, int64_t stride, int64_t row_width) {
  if (is_ok() && stride < row_width)
    status_ = Status("ERR_SHAPE", format_text("%s: %s: expected at least the row width %lld, found %lld", op_, name,
                                              Long(row_width), Long(stride)));
  return *this;
}

ArgumentChecks& ArgumentChecks::multiple(const char* name, int64_t value, int64_t divisor) {
  if (is_ok() && value % divisor != 0)
    status_ = Status("ERR_SHAPE", format_text("%s: %s: expected a multiple of %lld, found %lld", op_, name,
                                              Long(divisor), Long(value)));
  return *this;
}

ArgumentChecks& ArgumentChecks::pointer(const char* name, const void* value, bool needed) {
  if (is_ok() && needed && value == nullptr)
    status_ = Status("ERR_ARGUMENT", format_text("%s: %s: expected a pointer, found nullptr", op_, name));
  return *this;
}

ArgumentChecks& ArgumentChecks::index(const char* name, int64_t place, int64_t value, int64_t limit) {
  if (is_ok() && (value < 0 || value >= limit))
    status_ = Status("ERR_ARGUMENT", format_text("%s: %s[%lld]: expected 0 to %lld, found %lld", op_, name, Long(place),
                                                 Long(limit - 1), Long(value)));
  return *this;
}

ArgumentChecks& ArgumentChecks::workspace(const void* data, size_t found, size_t needed) {
  if (is_ok() && (found < needed || (data == nullptr && needed > 0)))
    status_ = Status("ERR_WORKSPACE", format_text("%s: workspace: expected %zu bytes, found %zu%s", op_, needed, found,
                                                  data == nullptr ? " (nullptr)" : ""));
  return *this;
}

}  // namespace espalier
