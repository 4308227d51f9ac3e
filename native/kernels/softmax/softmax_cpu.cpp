// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <cmath>
#include <limits>

#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/softmax/softmax.h"
#include "kernels/softmax/softmax_tile.h"

namespace espalier {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

const SoftmaxTile* const kVariants[kIsaCount] = {nullptr, ESP_X86_VARIANT(&softmax_tile_avx2),
                                                 ESP_X86_VARIANT(&softmax_tile_avx512), nullptr};

Status check(const SoftmaxArgs& args) {
  const bool any = args.rows > 0 && args.width > 0;
  return ArgumentChecks("softmax")
      .size("rows", args.rows)
      .size("width", args.width)
      .stride("ldx", args.ldx, args.width)
      .stride("ldo", args.ldo, args.width)
      .pointer("x", args.x, any)
      .pointer("out", args.out, any)
      .done();
}

Status check(const TokenLogprobArgs& args) {
  ArgumentChecks checks("token_logprob");
  checks.size("rows", args.rows)
      .positive("width", args.width)
      .stride("ldx", args.ldx, args.width)
      .pointer("x", args.x, args.rows > 0)
      .pointer("target", args.target, args.rows > 0)
      .pointer("out", args.out, args.rows > 0);
  for (int64_t row = 0; checks.is_ok() && row < args.rows; ++row)
    checks.index("target", row, args.target[row], args.width);
  return checks.done();
}

}  // namespace

const SoftmaxTile& softmax_tile(Isa isa) {
  const SoftmaxTile* tile = best_variant("softmax", kVariants, isa);
  return tile != nullptr ? *tile : softmax_tile_ref;
}

Status softmax(const CpuContext& context, const SoftmaxArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  if (best_variant("softmax", kVariants, context.isa) == nullptr) return softmax_ref(args);
  const SoftmaxTile& tile = softmax_tile(context.isa);
  std::atomic<int64_t> empty_row{-1};
  for_row_ranges(context, args.rows, 4 * args.width, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end && args.width > 0; ++row) {
      const float* x = args.x + row * args.ldx;
      float* out = args.out + row * args.ldo;
      const float maximum = tile.row_max(x, args.width);
      if (maximum == kMinusInfinity) {
        empty_row.store(row, std::memory_order_relaxed);
        continue;
      }
      const double sum = tile.exp_sum(x, args.width, maximum, 1.0f, out);
      tile.multiply(out, args.width, static_cast<float>(1.0 / sum));
    }
  });
  const long long row = empty_row.load(std::memory_order_relaxed);
  if (row < 0) return Status::ok();
  return Status("ERR_ARGUMENT", format_text("softmax: x: row %lld has no value above -inf", row));
}

Status token_logprob(const CpuContext& context, const TokenLogprobArgs& args) {
  ESP_RETURN_IF_ERROR(check(args));
  if (best_variant("softmax", kVariants, context.isa) == nullptr) return token_logprob_ref(args);
  const SoftmaxTile& tile = softmax_tile(context.isa);
  for_row_ranges(context, args.rows, 4 * args.width, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const float* x = args.x + row * args.ldx;
      const float maximum = tile.row_max(x, args.width);
      const double sum = tile.exp_sum(x, args.width, maximum, 1.0f, nullptr);
      args.out[row] = static_cast<double>(x[args.target[row]]) - maximum - std::log(sum);
    }
  });
  return Status::ok();
}

}  // namespace espalier
