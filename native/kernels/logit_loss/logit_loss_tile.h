// The vector passes of logit_loss. Plain C types only: included by files compiled for a single ISA.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "kernels/distance/distance_tile.h"

namespace espalier {

// n logits with what turns them into probabilities: exp((x - shift) * scale) * inverse.
struct LogitRow {
  const float* x;
  float shift;
  float inverse;
};

// Student and teacher over the same n logits; scale = 1 / temperature. With S = (s - shift) scale and T likewise: q, p
// their probabilities, gap = log Σ exp T - log Σ exp S, so that log p - log q = T - S - gap.
struct LogitPair {
  LogitRow student, teacher;
  int64_t n;
  float scale;
  float gap;
};

struct LogitLossTile {
  // value_i = factor q_i
  void (*softmax)(const LogitRow& row, int64_t n, float scale, float factor, GradientOutput out);
  // Σ p (T - S); value_i = factor (q_i - p_i) unless out.g is nullptr
  double (*kl)(const LogitPair& pair, float factor, GradientOutput out);
  // Σ q (S - T)
  double (*reverse_kl)(const LogitPair& pair);
  // value_i = factor q_i (S_i - T_i - center)
  void (*reverse_kl_gradient)(const LogitPair& pair, float center, float factor, GradientOutput out);
  // sums: Σ p log(p / m), Σ q log(q / m); 0 < beta < 1
  void (*jsd)(const LogitPair& pair, float beta, double* sums);
  // value_i = factor q_i (log(q_i / m_i) - center)
  void (*jsd_gradient)(const LogitPair& pair, float beta, float center, float factor, GradientOutput out);
};

extern const LogitLossTile logit_loss_tile_avx2;
extern const LogitLossTile logit_loss_tile_avx512;

}  // namespace espalier
