// SPDX-License-Identifier: Apache-2.0
#include "core/kernel_log.h"

#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string>

#include "core/cpu_features.h"

namespace espalier {
namespace {

void log_once(const std::string& name) {
  static std::mutex mutex;
  static std::set<std::string> told;
  std::lock_guard<std::mutex> lock(mutex);
  if (told.insert(name).second) std::fprintf(stderr, "espalier: kernel %s\n", name.c_str());
}

}  // namespace

bool kernel_log_enabled() {
  static const bool enabled = [] {
    const char* topics = std::getenv("ESPALIER_LOG");
    return topics != nullptr && ("," + std::string(topics) + ",").find(",kernels,") != std::string::npos;
  }();
  return enabled;
}

void log_kernel(const char* op, Isa picked) {
  if (kernel_log_enabled()) log_once(std::string(op) + "_" + isa_name(picked));
}

void log_kernel(const char* name) {
  if (kernel_log_enabled()) log_once(name);
}

}  // namespace espalier
