// SPDX-License-Identifier: Apache-2.0
#include "backend/error.h"

#include <cstdio>

namespace espalier {

int32_t report(const Status& status, BackendError* error) {
  if (status.is_ok()) return 0;
  if (error != nullptr) {
    std::snprintf(error->code, sizeof error->code, "%s", status.code().c_str());
    std::snprintf(error->what, sizeof error->what, "%s", status.what().c_str());
    std::snprintf(error->hint, sizeof error->hint, "%s", status.hint().c_str());
  }
  return 1;
}

Status status_of(int32_t result, const BackendError& error) {
  return result == 0 ? Status::ok() : Status(error.code, error.what, error.hint);
}

}  // namespace espalier
