// The programs of native/standalone run without Node, so that ThreadSanitizer sees every thread they make.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdio>
#include <cstdlib>

#include "core/status.h"

namespace espalier::standalone {

inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "failed: %s\n", what);
  std::exit(1);
}

inline void require_ok(const Status& status) {
  if (!status.is_ok()) require(false, (status.code() + ": " + status.what()).c_str());
}

// The parts, in the order they run.
void check_thread_pool();
void check_engine();

}  // namespace espalier::standalone
