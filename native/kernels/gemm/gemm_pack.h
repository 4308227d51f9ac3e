// Packing of operands whose lines lie side by side in memory: each stored row holds one k of every line.
// Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// source [depth, lines] f32, rows `stride` apart -> slots of `width` lines: slot s is [depth][width] at out + s * step,
// zeros behind the last line. A row's slots are read one after another, so every cache line and page is met once.
struct GemmPackSlots {
  const float* source;
  int64_t stride;
  int64_t depth, lines, width;  // width <= 16
  float* out;
  int64_t step;
};

using GemmPackFn = void (*)(const GemmPackSlots& slots);
void gemm_pack_slots_avx2(const GemmPackSlots& slots);
void gemm_pack_slots_avx512(const GemmPackSlots& slots);

constexpr int64_t kGemmSlotsPerPack = 8;  // streams written at once: as many as an L1 set has ways, at worst

}  // namespace espalier
