// hidden_loss: how far the hidden states of a student are from a teacher's, and the gradient.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

// Over the rows that count, n of them; s, t one row of each.
enum class HiddenLossKind : int32_t {
  kMse,     // Σ rows Σ (s - t)² / width
  kCosine,  // Σ rows 1 - s·t / (|s| |t|), each norm at least 1e-8
  // n Σ rows Σ (s - t)² / (Σ rows Σ t² + n width epsilon): n times the ratio, so that dividing by n as for every
  // other loss leaves SquareHead (Kurtic et al. 2023, arXiv 2310.06927). 0 when the denominator is.
  kSquareHead,
};

// student  [rows, width] f32, rows ld_student apart; already projected to the teacher's width
// teacher  [rows, width] f32, rows ld_teacher apart
// labels   [rows] or nullptr: a row of -100 counts for nothing
// sum      f64, added to: the loss, unweighted
// gradient [rows, width] or nullptr, rows ld_gradient apart: weight * d loss / d student, stored, or added with
//          `accumulate`; rows that do not count get 0, or stay. May alias neither input.
struct HiddenLossArgs {
  const float* student;
  int64_t ld_student;
  const float* teacher;
  int64_t ld_teacher;
  const int32_t* labels;
  int64_t rows, width;
  HiddenLossKind kind;
  float epsilon;  // kSquareHead only; the paper's code has 2^-7, SparseML 0
  double* sum;
  float* gradient;
  int64_t ld_gradient;
  float weight;
  bool accumulate;
};

size_t hidden_loss_workspace_size(const CpuContext& context, const HiddenLossArgs& args);
// The same bits whatever the threads.
Status hidden_loss(const CpuContext& context, const HiddenLossArgs& args, void* workspace, size_t workspace_size);
Status hidden_loss_ref(const HiddenLossArgs& args);

}  // namespace espalier
