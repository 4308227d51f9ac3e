// SPDX-License-Identifier: Apache-2.0
#include "core/cpu_features.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <fstream>
#include <set>
#include <thread>
#include <utility>

#if defined(__linux__)
#include <sched.h>
#endif

namespace espalier {
namespace {

const char* const kNames[kIsaCount] = {"ref", "avx2", "avx512", "avx512_bf16"};

#if defined(__linux__)
// Distinct (package, core) pairs among the CPUs this process may run on; cgroup quotas are not read.
int count_physical_cores(const cpu_set_t& allowed) {
  std::set<std::pair<int, int>> cores;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &allowed)) continue;
    const std::string base = "/sys/devices/system/cpu/cpu" + std::to_string(cpu) + "/topology/";
    int package = 0, core = cpu;
    std::ifstream(base + "physical_package_id") >> package;
    std::ifstream(base + "core_id") >> core;
    cores.emplace(package, core);
  }
  return cores.empty() ? 1 : static_cast<int>(cores.size());
}

std::string read_model_name() {
  std::ifstream info("/proc/cpuinfo");
  for (std::string line; std::getline(info, line);)
    if (line.rfind("model name", 0) == 0) {
      const size_t colon = line.find(": ");
      return colon == std::string::npos ? line : line.substr(colon + 2);
    }
  return "unknown";
}
#endif

CpuFeatures detect() {
  CpuFeatures f;
#if defined(__x86_64__)
  __builtin_cpu_init();
  f.avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  f.avx512 = f.avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vnni");
  f.avx512_bf16 = f.avx512 && __builtin_cpu_supports("avx512bf16");
  f.avx512_vbmi = f.avx512 && __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vbmi2");
#endif
  f.logical_cpus = static_cast<int>(std::thread::hardware_concurrency());
#if defined(_SC_LEVEL2_CACHE_SIZE)
  f.l2_bytes = std::max(sysconf(_SC_LEVEL2_CACHE_SIZE), 0L);
#endif
  f.physical_cores = f.logical_cpus > 0 ? f.logical_cpus : 1;
#if defined(__linux__)
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof allowed, &allowed) == 0) {
    f.logical_cpus = CPU_COUNT(&allowed);
    f.physical_cores = count_physical_cores(allowed);
  }
  f.model_name = read_model_name();
#endif
#if defined(ESPALIER_SIMULATED_AVX512)
  // The AVX-512 kernels of this build are compiled for AVX2: they run wherever AVX2 does (tests only).
  f.avx512 = f.avx512_bf16 = f.simulated = f.avx2;
#endif
  return f;
}

struct Choice {
  std::atomic<int> isa;
  Status environment;
  Choice() : isa(static_cast<int>(best_isa())) {
    const char* wanted = std::getenv("ESPALIER_ISA");
    if (wanted == nullptr || *wanted == '\0' || std::string(wanted) == "auto") return;
    Isa level;
    if (!isa_by_name(wanted, &level))
      environment =
          Status("ERR_ISA",
                 format_text("ESPALIER_ISA: expected ref, avx2, avx512, avx512_bf16 or auto, found \"%s\"", wanted));
    else if (!isa_runs_here(level))
      environment = Status("ERR_ISA", format_text("ESPALIER_ISA: this CPU cannot run \"%s\"; its best level is \"%s\"",
                                                  wanted, isa_name(best_isa())));
    else
      isa.store(static_cast<int>(level));
  }
};

Choice& choice() {
  static Choice instance;
  return instance;
}

}  // namespace

const CpuFeatures& cpu_features() {
  static const CpuFeatures features = detect();
  return features;
}

bool isa_runs_here(Isa isa) {
  const CpuFeatures& f = cpu_features();
  switch (isa) {
    case Isa::kRef:
      return true;
    case Isa::kAvx2:
      return f.avx2;
    case Isa::kAvx512:
      return f.avx512;
    case Isa::kAvx512Bf16:
      return f.avx512_bf16;
  }
  return false;
}

Isa best_isa() {
  for (int level = kIsaCount - 1; level > 0; --level)
    if (isa_runs_here(static_cast<Isa>(level))) return static_cast<Isa>(level);
  return Isa::kRef;
}

std::vector<Isa> isas_here() {
  std::vector<Isa> levels;
  for (int level = 0; level < kIsaCount; ++level)
    if (isa_runs_here(static_cast<Isa>(level))) levels.push_back(static_cast<Isa>(level));
  return levels;
}

Isa current_isa() { return static_cast<Isa>(choice().isa.load(std::memory_order_relaxed)); }

Status set_isa(const std::string& name) {
  Isa level = best_isa();
  if (name != "auto" && !isa_by_name(name, &level))
    return Status("ERR_ISA", "isa: expected ref, avx2, avx512, avx512_bf16 or auto, found \"" + name + "\"");
  if (!isa_runs_here(level))
    return Status("ERR_ISA",
                  "isa: this CPU cannot run \"" + name + "\"; its best level is \"" + isa_name(best_isa()) + "\"");
  choice().isa.store(static_cast<int>(level), std::memory_order_relaxed);
  return Status::ok();
}

Status isa_environment_status() { return choice().environment; }

const char* isa_name(Isa isa) { return kNames[static_cast<int>(isa)]; }

bool isa_by_name(const std::string& name, Isa* out) {
  for (int level = 0; level < kIsaCount; ++level)
    if (name == kNames[level]) {
      *out = static_cast<Isa>(level);
      return true;
    }
  return false;
}

}  // namespace espalier
