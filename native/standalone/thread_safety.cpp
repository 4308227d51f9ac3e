// Runs the threaded parts of the core, an engine among them: under ThreadSanitizer (npm run test:sanitize), where a
// report ends it with code 66, and under LeakSanitizer (npm run test:leak), where code 23 does.
// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "standalone/checks.h"

// Wrong on purpose: what `thread_safety race` must be reported for.
static int race() {
  int value = 0;
  std::thread other([&] { ++value; });
  ++value;
  other.join();
  return value == 2 ? 0 : 1;
}

// Wrong on purpose: what `thread_safety leak` must be reported for.
static int leak() {
  void* volatile lost = std::malloc(1000);
  lost = nullptr;
  return lost == nullptr ? 0 : 1;
}

int main(int argc, char** argv) {
  using namespace espalier::standalone;
  if (argc > 1 && std::strcmp(argv[1], "race") == 0) return race();
  if (argc > 1 && std::strcmp(argv[1], "leak") == 0) return leak();
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
