// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>

#include "kernels/hidden_loss/hidden_loss.h"
#include "kernels/logit_loss/logit_loss.h"

namespace espalier {
namespace {

struct RowSums {
  double both = 0, student = 0, teacher = 0, squares = 0;  // Σ s t, Σ s², Σ t², Σ (s - t)²
};

RowSums sums_of(const HiddenLossArgs& args, int64_t row) {
  RowSums sums;
  for (int64_t i = 0; i < args.width; ++i) {
    const double s = args.student[row * args.ld_student + i], t = args.teacher[row * args.ld_teacher + i];
    sums.both += s * t;
    sums.student += s * s;
    sums.teacher += t * t;
    sums.squares += (s - t) * (s - t);
  }
  return sums;
}

bool counts(const HiddenLossArgs& args, int64_t row) {
  return args.labels == nullptr || args.labels[row] != kIgnoredLabel;
}

// What each squared difference is multiplied by.
double square_factor(const HiddenLossArgs& args) {
  if (args.kind == HiddenLossKind::kMse) return 1.0 / static_cast<double>(args.width);
  double power = 0, rows = 0;
  for (int64_t row = 0; row < args.rows; ++row)
    if (counts(args, row)) {
      power += sums_of(args, row).teacher;
      rows += 1;
    }
  power += rows * static_cast<double>(args.width) * args.epsilon;
  return power > 0 ? rows / power : 0;
}

// Loss of a row; student_factor and teacher_factor: d loss / d student = one times s plus the other times t.
double row_loss(const HiddenLossArgs& args, const RowSums& sums, double factor, double* student_factor,
                double* teacher_factor) {
  if (args.kind != HiddenLossKind::kCosine) {
    *student_factor = 2 * factor;
    *teacher_factor = -2 * factor;
    return factor * sums.squares;
  }
  const double student = std::max(std::sqrt(sums.student), 1e-8), teacher = std::max(std::sqrt(sums.teacher), 1e-8);
  const double cosine = sums.both / (student * teacher);
  *student_factor = cosine / (student * student);
  *teacher_factor = -1 / (student * teacher);
  return 1 - cosine;
}

}  // namespace

Status hidden_loss_ref(const HiddenLossArgs& args) {
  const double factor = args.kind == HiddenLossKind::kCosine ? 0 : square_factor(args);
  for (int64_t row = 0; row < args.rows; ++row) {
    double student_factor = 0, teacher_factor = 0;
    if (counts(args, row)) *args.sum += row_loss(args, sums_of(args, row), factor, &student_factor, &teacher_factor);
    for (int64_t i = 0; args.gradient != nullptr && i < args.width; ++i) {
      float& g = args.gradient[row * args.ld_gradient + i];
      const double slope = student_factor * args.student[row * args.ld_student + i] +
                           teacher_factor * args.teacher[row * args.ld_teacher + i];
      const double before = args.accumulate ? g : 0.0;
      g = static_cast<float>(before + args.weight * slope);
    }
  }
  return Status::ok();
}

}  // namespace espalier
