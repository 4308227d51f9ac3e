// SPDX-License-Identifier: Apache-2.0
#include "backend/registry.h"

#include <dlfcn.h>

#include "backend/cpu/cpu_backend.h"

namespace espalier {

Status load_backend(const std::string& path, const Backend** out) {
  void* object = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (object == nullptr) return Status("ERR_BACKEND_LOAD", "cannot open the backend " + path + ": " + dlerror());
  const auto entry = reinterpret_cast<BackendEntry>(dlsym(object, kBackendSymbol));
  if (entry == nullptr) {
    dlclose(object);
    return Status("ERR_BACKEND_LOAD", path + " is not a backend: it does not export " + kBackendSymbol);
  }
  const Backend* table = entry();
  if (table == nullptr || table->api_version != kBackendApiVersion || table->struct_size != sizeof(Backend)) {
    const Status refusal(
        "ERR_BACKEND_VERSION",
        format_text("%s: expected backend interface %u of %zu bytes, found %u of %u bytes", path.c_str(),
                    kBackendApiVersion, sizeof(Backend), table == nullptr ? 0 : table->api_version,
                    table == nullptr ? 0 : table->struct_size));
    dlclose(object);
    return refusal;
  }
  BackendProbe probe{};
  table->probe(&probe);
  if (probe.score <= 0)
    return Status("ERR_BACKEND_UNUSABLE", std::string("backend ") + table->name + " cannot run here: " + probe.why);
  *out = table;
  return Status::ok();
}

Status find_backend(const std::string& name, const Backend** out) {
  if (name == "cpu" || name == "auto") {
    *out = cpu_backend();
    return Status::ok();
  }
  if (name.find('/') != std::string::npos) return load_backend(name, out);
  return Status("ERR_BACKEND_UNKNOWN",
                "backend: expected auto, cpu or the path of a shared object, found \"" + name + "\"");
}

}  // namespace espalier
