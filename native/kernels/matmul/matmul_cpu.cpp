// The matmul driver: validates, plans, runs.
// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "kernels/matmul/matmul.h"
#include "kernels/matmul/matmul_plan.h"
#include "quant/panel_layout.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

long long wide(int64_t value) { return value; }

Status check_weight(const PackedMatrix& weight, int index) {
  if (weight.format == nullptr) return Status("ERR_ARGUMENT", format_text("matmul: weight %d has no format", index));
  if (weight.n < 0 || weight.k < 0)
    return Status("ERR_SHAPE", format_text("matmul: weight %d is [%lld, %lld]", index, wide(weight.n), wide(weight.k)));
  if (weight.n > 0 && weight.k > 0 && weight.data == nullptr)
    return Status("ERR_ARGUMENT", format_text("matmul: weight %d has no data", index));
  if (reinterpret_cast<uintptr_t>(weight.data) % 64 != 0)
    return Status("ERR_ARGUMENT", format_text("matmul: weight %d is not 64-byte aligned", index));
  return Status::ok();
}

Status check_one(const MatmulArgs& args, const MatmulArgs& first, int index) {
  ESP_RETURN_IF_ERROR(check_weight(args.weight, index));
  if (args.x != first.x || args.ldx != first.ldx || args.m != first.m || args.weight.k != first.weight.k)
    return Status("ERR_ARGUMENT",
                  format_text("matmul: product %d does not share x, ldx, m and k with product 0", index));
  if (args.m == 0 || args.weight.n == 0) return Status::ok();
  if (args.out == nullptr || (args.x == nullptr && args.weight.k > 0))
    return Status("ERR_ARGUMENT", format_text("matmul: product %d has no x or no out", index));
  if (args.ldx < args.weight.k || args.ldo < args.weight.n)
    return Status("ERR_SHAPE",
                  format_text("matmul: product %d: rows are ldx %lld, ldo %lld apart; k %lld, n %lld need more", index,
                              wide(args.ldx), wide(args.ldo), wide(args.weight.k), wide(args.weight.n)));
  return Status::ok();
}

// k = 0: the product is zero and only the epilogue is left.
void store_bias(const MatmulArgs& args) {
  for (int64_t row = 0; row < args.m; ++row) {
    float* out = args.out + row * args.ldo;
    for (int64_t column = 0; column < args.weight.n; ++column) {
      const float bias = args.bias != nullptr ? args.bias[column] : 0.0f;
      out[column] = args.epilogue == MatmulEpilogue::kAccumulate ? out[column] + bias : bias;
    }
  }
}

}  // namespace

Status check_matmul(const MatmulArgs* args, int count) {
  if (args == nullptr || count < 1 || count > kMaxMatmulGroup)
    return Status("ERR_ARGUMENT", format_text("matmul: %d products; 1 to %d go together", count, kMaxMatmulGroup));
  if (args[0].m < 0) return Status("ERR_SHAPE", format_text("matmul: m is %lld", wide(args[0].m)));
  for (int i = 0; i < count; ++i) ESP_RETURN_IF_ERROR(check_one(args[i], args[0], i));
  return Status::ok();
}

size_t matmul_workspace_size(const CpuContext& context, const MatmulArgs* args, int count) {
  if (args == nullptr || count < 1 || count > kMaxMatmulGroup || args[0].m <= 0) return 0;
  MatmulPlan plan;
  plan_matmul(context, args, count, &plan);
  return plan.workspace_bytes;
}

Status matmul(const CpuContext& context, const MatmulArgs* args, int count, void* workspace, size_t workspace_size) {
  ESP_RETURN_IF_ERROR(check_matmul(args, count));
  if (args[0].m == 0) return Status::ok();
  if (args[0].weight.k == 0) {
    for (int i = 0; i < count; ++i) store_bias(args[i]);
    return Status::ok();
  }
  MatmulPlan plan;
  plan_matmul(context, args, count, &plan);
  if (plan.workspace_bytes > workspace_size || (plan.workspace_bytes > 0 && workspace == nullptr))
    return Status("ERR_WORKSPACE",
                  format_text("matmul: workspace of %zu bytes, %zu needed", workspace_size, plan.workspace_bytes));
  prepare_activations(context, args, &plan, workspace);
  run_matmul_plan(context, plan, workspace);
  return Status::ok();
}

}  // namespace espalier
