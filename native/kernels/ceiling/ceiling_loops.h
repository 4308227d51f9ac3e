// The loops behind measured ceilings, one table per ISA. Plain C types only.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

namespace espalier {

// Arithmetic in registers alone; `sink` keeps the compiler from dropping it. run nullptr: the ISA has no such loop.
struct ComputeLoop {
  void (*run)(int64_t rounds, float* sink);
  double ops_per_round;  // a multiply-add counts as two
};

struct CeilingLoops {
  const char* name;
  void (*read)(const char* data, size_t bytes, float* sink);  // bytes: a multiple of 1024
  void (*copy)(const char* from, char* to, size_t bytes);     // 64-byte aligned, a multiple of 1024
  ComputeLoop f32;
  ComputeLoop bf16;     // bf16 dot products; widened to f32 instead where that is faster (Intel) or there are none
  ComputeLoop int8[2];  // chains that are exact for |values| <= 127; the faster one counts
};

extern const CeilingLoops ceiling_ref;
extern const CeilingLoops ceiling_avx2;
extern const CeilingLoops ceiling_avx512;
extern const CeilingLoops ceiling_avx512_bf16;

}  // namespace espalier
