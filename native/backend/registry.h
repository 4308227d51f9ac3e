// Finds backends: the CPU's in the addon, others in shared objects opened at run time.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "backend/backend.h"
#include "core/status.h"

namespace espalier {

// "cpu" | "auto" | a path of a shared object. A backend asked for by name and not usable is an error, never a
// silent fall-back: ERR_BACKEND_UNKNOWN, ERR_BACKEND_LOAD, ERR_BACKEND_VERSION, ERR_BACKEND_UNUSABLE.
// A loaded shared object stays loaded.
Status find_backend(const std::string& name, const Backend** out);

// Opens the shared object at `path` and checks its table's version and score.
Status load_backend(const std::string& path, const Backend** out);

}  // namespace espalier
