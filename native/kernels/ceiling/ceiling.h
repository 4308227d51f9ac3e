// measure_ceilings: what this machine could do at best, measured; benches state their results against it.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

struct Ceilings {
  double read_gbps;    // sequential read of a buffer far larger than the caches
  double copy_gbps;    // copy, bytes read plus bytes written
  double f32_gflops;   // fused multiply-add, a multiply-add counting two
  double bf16_gflops;  // bf16 dot products, or f32_gflops when that is more
  double int8_gops;    // exact int8 products summed in int32
  double buffer_mb;    // size of the buffer read
};

// Best of many bursts over about `seconds` in all, at the context's ISA and threads. buffer_bytes 0: 2 GiB, or a
// quarter of the free memory when that is less. ERR_OUT_OF_MEMORY, ERR_ARGUMENT.
Status measure_ceilings(const CpuContext& context, double seconds, size_t buffer_bytes, Ceilings* out);

enum class ComputeCeiling { kF32, kBf16, kInt8 };
// 1e9 operations a second over one burst of about `seconds`, to take turns with what is compared: a processor's clock
// falls under load, so a ceiling from another moment compares with nothing.
double ceiling_burst(const CpuContext& context, ComputeCeiling which, double seconds);

}  // namespace espalier
