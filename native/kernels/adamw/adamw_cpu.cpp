// SPDX-License-Identifier: Apache-2.0
#include <cmath>

#include "kernels/adamw/adamw.h"
#include "kernels/adamw/adamw_tile.h"
#include "kernels/checks.h"
#include "kernels/dispatch.h"

namespace espalier {
namespace {

constexpr int64_t kBlock = 1 << 15;  // elements of a task; whole bytes of the mask

const AdamwTile* const kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(&adamw_tile_avx2),
                                               ESP_X86_VARIANT(&adamw_tile_avx512), nullptr};

int64_t block_count(int64_t count) { return (count + kBlock - 1) / kBlock; }

AdamwFactors factors_of(const AdamwArgs& args) {
  const double step = static_cast<double>(args.step);
  const double correction1 = 1.0 - std::pow(args.beta1, step), correction2 = 1.0 - std::pow(args.beta2, step);
  AdamwFactors factors;
  factors.gradient_scale = args.gradient_scale;
  factors.beta1 = static_cast<float>(args.beta1);
  factors.beta2 = static_cast<float>(args.beta2);
  factors.rest1 = static_cast<float>(1.0 - args.beta1);
  factors.rest2 = static_cast<float>(1.0 - args.beta2);
  factors.decay = static_cast<float>(1.0 - args.learning_rate * args.weight_decay);
  factors.rate = static_cast<float>(args.learning_rate / correction1);
  factors.root_scale = static_cast<float>(1.0 / std::sqrt(correction2));
  factors.epsilon = static_cast<float>(args.epsilon);
  return factors;
}

// fn(begin, end) over whole blocks of [0, count).
template <typename F>
void for_blocks(const CpuContext& context, int64_t count, F&& fn) {
  for_row_ranges(context, block_count(count), kBlock,
                 [&](int64_t begin, int64_t end) { fn(begin * kBlock, end * kBlock < count ? end * kBlock : count); });
}

}  // namespace

Status adamw(const CpuContext& context, const AdamwArgs& args) {
  const bool any = args.count > 0;
  ESP_RETURN_IF_ERROR(ArgumentChecks("adamw")
                          .size("count", args.count)
                          .positive("step", args.step)
                          .pointer("weight", args.weight, any)
                          .pointer("gradient", args.gradient, any)
                          .pointer("moment1", args.moment1, any)
                          .pointer("moment2", args.moment2, any)
                          .done());
  const AdamwTile* tile = best_variant("adamw", kVariants, context.isa);
  if (tile == nullptr) return adamw_ref(args);
  const AdamwFactors factors = factors_of(args);
  for_blocks(context, args.count, [&](int64_t begin, int64_t end) {
    tile->update(factors, args.weight + begin, args.gradient + begin, args.moment1 + begin, args.moment2 + begin,
                 args.mask != nullptr ? args.mask + begin / 8 : nullptr, end - begin);
  });
  return Status::ok();
}

size_t sum_of_squares_workspace_size(const CpuContext& context, const SumOfSquaresArgs& args) {
  return static_cast<size_t>(block_count(args.count)) * sizeof(double);
}

Status sum_of_squares(const CpuContext& context, const SumOfSquaresArgs& args, void* workspace, size_t size) {
  ESP_RETURN_IF_ERROR(ArgumentChecks("sum_of_squares")
                          .size("count", args.count)
                          .pointer("x", args.x, args.count > 0)
                          .pointer("sum", args.sum, true)
                          .workspace(workspace, size, sum_of_squares_workspace_size(context, args))
                          .done());
  const AdamwTile* tile = best_variant("adamw", kVariants, context.isa);
  if (tile == nullptr) return sum_of_squares_ref(args);
  double* partial = static_cast<double*>(workspace);
  for_blocks(context, args.count, [&](int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end; at += kBlock)
      partial[at / kBlock] = tile->squares(args.x + at, args.mask != nullptr ? args.mask + at / 8 : nullptr,
                                           end - at < kBlock ? end - at : kBlock);
  });
  *args.sum = 0;
  for (int64_t block = 0; block < block_count(args.count); ++block) *args.sum += partial[block];
  return Status::ok();
}

}  // namespace espalier
