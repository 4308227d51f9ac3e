// The serial pieces of adamw. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace espalier {

// weight = weight decay - rate m / (sqrt(v) root_scale + epsilon): the bias corrections are in rate and root_scale.
struct AdamwFactors {
  float gradient_scale, beta1, beta2, decay, rate, root_scale, epsilon;
  float rest1, rest2;  // 1 - beta1, 1 - beta2, subtracted in float64
};

struct AdamwTile {
  // All [n]; mask nullptr: none
  void (*update)(const AdamwFactors& factors, float* weight, float* gradient, float* moment1, float* moment2,
                 const uint8_t* mask, int64_t n);
  double (*squares)(const float* x, const uint8_t* mask, int64_t n);
};

extern const AdamwTile adamw_tile_avx2;
extern const AdamwTile adamw_tile_avx512;

}  // namespace espalier
