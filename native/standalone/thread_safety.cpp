// Runs the threaded parts of the core under ThreadSanitizer (npm run test:sanitize); a report ends it with code 66.
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>

#include "standalone/checks.h"

int main() {
  using namespace espalier::standalone;
  const struct {
    const char* name;
    void (*run)();
  } parts[] = {{"thread pool", check_thread_pool}, {"engine and scheduler", check_engine}};
  for (const auto& part : parts) {
    part.run();
    std::printf("ok %s\n", part.name);
  }
  return 0;
}
