// The serial pieces of bf16. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

struct Bf16Tile {
  void (*pack)(const float* x, uint16_t* out, int64_t n);
  void (*unpack)(const uint16_t* x, float* out, int64_t n);
};

extern const Bf16Tile bf16_tile_avx2;
extern const Bf16Tile bf16_tile_avx512;

}  // namespace espalier
