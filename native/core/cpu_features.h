// What the CPU can do, as a ladder of ISA levels, and the override that forces one.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "core/isa.h"
#include "core/status.h"

namespace espalier {

struct CpuFeatures {
  bool avx2 = false;         // AVX2 + FMA + F16C, enabled by the OS
  bool avx512 = false;       // F + BW + VL + DQ + VNNI
  bool avx512_bf16 = false;  // the above + BF16
  bool avx512_vbmi = false;  // VBMI + VBMI2
  bool avx_vnni = false;
  bool amx_int8 = false;
  bool simulated = false;  // the AVX-512 levels run through SIMDe, in a build made for tests
  std::string model_name;
  int logical_cpus = 1;
  int physical_cores = 1;  // those this process may run on
  int64_t l2_bytes = 0;    // of one core; 0: unknown
};

const CpuFeatures& cpu_features();
Isa best_isa();  // highest level this machine runs
bool isa_runs_here(Isa isa);
std::vector<Isa> isas_here();  // every level this machine runs, kRef first

// The level kernels are chosen for: best_isa() unless ESPALIER_ISA or set_isa says otherwise.
Isa current_isa();
// Forces a level: "ref", "avx2", "avx512", "avx512_bf16", or "auto". ERR_ISA when unknown or beyond this machine.
Status set_isa(const std::string& name);
// The error of a bad ESPALIER_ISA, if any; ok otherwise. Engines report it on load.
Status isa_environment_status();

const char* isa_name(Isa isa);
bool isa_by_name(const std::string& name, Isa* out);

}  // namespace espalier
