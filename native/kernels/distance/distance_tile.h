// Vector passes over a row of a student and a row of a teacher, shared by the losses. Plain C types only: included by
// files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "core/isa.h"

namespace espalier {

// Where a row's gradient goes: g = value, or g += value with `add`. g may be the student's own row.
struct GradientOutput {
  float* g;
  bool add;
};

struct DistanceTile {
  // Σ (s - t)²
  double (*squares)(const float* s, const float* t, int64_t n);
  // sums: Σ s t, Σ s s, Σ t t
  void (*products)(const float* s, const float* t, int64_t n, double* sums);
  // value_i = a s_i + b t_i
  void (*combine)(const float* s, const float* t, int64_t n, float a, float b, GradientOutput out);
};

extern const DistanceTile distance_tile_avx2;
extern const DistanceTile distance_tile_avx512;

// Of the highest level at or below `isa`; nullptr when only the reference remains.
const DistanceTile* distance_tile(Isa isa);

}  // namespace espalier
