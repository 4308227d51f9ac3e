// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/distance/distance_tile.h"
#include "kernels/hidden_loss/hidden_loss.h"
#include "kernels/logit_loss/logit_loss.h"

namespace espalier {
namespace {

Status check(const HiddenLossArgs& args) {
  const bool any = args.rows > 0 && args.width > 0;
  ArgumentChecks checks("hidden_loss");
  checks.index("kind", 0, static_cast<int64_t>(args.kind), static_cast<int64_t>(HiddenLossKind::kSquareHead) + 1)
      .size("rows", args.rows)
      .positive("width", args.width)
      .stride("ld_student", args.ld_student, args.width)
      .stride("ld_teacher", args.ld_teacher, args.width)
      .pointer("student", args.student, any)
      .pointer("teacher", args.teacher, any)
      .pointer("sum", args.sum, true);
  if (args.gradient != nullptr) checks.stride("ld_gradient", args.ld_gradient, args.width);
  ESP_RETURN_IF_ERROR(checks.done());
  if (std::isfinite(args.epsilon) && args.epsilon >= 0) return Status::ok();
  return Status("ERR_ARGUMENT",
                format_text("hidden_loss: epsilon: expected 0 or more, found %g", static_cast<double>(args.epsilon)));
}

// What a row's loss and gradient follow from: kCosine Σ s t, Σ s², Σ t²; else Σ (s - t)² and, for kSquareHead, Σ t².
struct RowSums {
  double values[3];
};

bool counts(const HiddenLossArgs& args, int64_t row) {
  return args.labels == nullptr || args.labels[row] != kIgnoredLabel;
}

void measure(const CpuContext& context, const DistanceTile& tile, const HiddenLossArgs& args, RowSums* sums) {
  for_row_ranges(context, args.rows, args.width, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* student = args.student + row * args.ld_student;
      const float* teacher = args.teacher + row * args.ld_teacher;
      if (!counts(args, row)) continue;
      if (args.kind != HiddenLossKind::kMse) tile.products(student, teacher, args.width, sums[row].values);
      if (args.kind != HiddenLossKind::kCosine) sums[row].values[0] = tile.squares(student, teacher, args.width);
    }
  });
}

// What each squared difference is multiplied by.
double square_factor(const HiddenLossArgs& args, const RowSums* sums) {
  if (args.kind == HiddenLossKind::kMse) return 1.0 / static_cast<double>(args.width);
  double power = 0, rows = 0;
  for (int64_t row = 0; row < args.rows; ++row)
    if (counts(args, row)) {
      power += sums[row].values[2];
      rows += 1;
    }
  power += rows * static_cast<double>(args.width) * args.epsilon;
  return power > 0 ? rows / power : 0;
}

// d loss / d student = student * s + teacher * t.
struct Slope {
  double student, teacher;
};

double row_loss(const HiddenLossArgs& args, const RowSums& sums, double factor, Slope* slope) {
  if (args.kind != HiddenLossKind::kCosine) {
    *slope = {2 * factor, -2 * factor};
    return factor * sums.values[0];
  }
  const double student = std::max(std::sqrt(sums.values[1]), 1e-8), teacher = std::max(std::sqrt(sums.values[2]), 1e-8);
  const double cosine = sums.values[0] / (student * teacher);
  *slope = {cosine / (student * student), -1 / (student * teacher)};
  return 1 - cosine;
}

void write_gradient(const DistanceTile& tile, const HiddenLossArgs& args, int64_t row, const Slope& slope) {
  float* gradient = args.gradient + row * args.ld_gradient;
  if (counts(args, row))
    tile.combine(args.student + row * args.ld_student, args.teacher + row * args.ld_teacher, args.width,
                 static_cast<float>(args.weight * slope.student), static_cast<float>(args.weight * slope.teacher),
                 {gradient, args.accumulate});
  else if (!args.accumulate)
    std::memset(gradient, 0, static_cast<size_t>(args.width) * sizeof(float));
}

}  // namespace

size_t hidden_loss_workspace_size(const CpuContext& context, const HiddenLossArgs& args) {
  return distance_tile(context.isa) == nullptr || args.rows <= 0 ? 0 : static_cast<size_t>(args.rows) * sizeof(RowSums);
}

Status hidden_loss(const CpuContext& context, const HiddenLossArgs& args, void* workspace, size_t workspace_size) {
  ESP_RETURN_IF_ERROR(check(args));
  const DistanceTile* tile = distance_tile(context.isa);
  if (tile == nullptr) return hidden_loss_ref(args);
  const size_t needed = hidden_loss_workspace_size(context, args);
  ESP_RETURN_IF_ERROR(ArgumentChecks("hidden_loss").workspace(workspace, workspace_size, needed).done());
  RowSums* sums = static_cast<RowSums*>(workspace);
  measure(context, *tile, args, sums);
  const double factor = args.kind == HiddenLossKind::kCosine ? 0 : square_factor(args, sums);
  Slope slope;
  for (int64_t row = 0; row < args.rows; ++row)
    if (counts(args, row)) *args.sum += row_loss(args, sums[row], factor, &slope);
  if (args.gradient == nullptr) return Status::ok();
  for_row_ranges(context, args.rows, args.width, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      Slope own{};
      if (counts(args, row)) row_loss(args, sums[row], factor, &own);
      write_gradient(*tile, args, row, own);
    }
  });
  return Status::ok();
}

}  // namespace espalier
