// Prefetching for the streaming kernels. Only ISA files include this; everything is local to the including file.
// Measured on Granite Rapids, m = 1, one core, cold weights, share of the read bandwidth: one panel at a time with one
// prefetch 2 KiB ahead 0.75 (int8) to 0.9 (f32); four panels at a time 0.83 to 1.05; with these two prefetches 0.94
// (int8) to 1.1 (f32). Grouped 4-bit formats reach 1.1 so; twice as far ahead costs 4 (nf4) to 13 % (int4).
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "kernels/simd_x86.h"

namespace espalier {
namespace {

// For the kBytes of weights at `bytes`, which are in use now, as one of kStreams streams: into L2, then into L1.
template <int kBytes, int kStreams>
inline void fetch(const char* bytes) {
  constexpr int64_t kFar = kStreams > 1 ? 2048 : 8192;
  constexpr int64_t kNear = kStreams > 1 ? 512 : 1024;
#pragma GCC unroll 8
  for (int line = 0; line < kBytes; line += 64) {
    _mm_prefetch(bytes + kFar + line, _MM_HINT_T1);
    _mm_prefetch(bytes + kNear + line, _MM_HINT_T0);
  }
}

}  // namespace
}  // namespace espalier
