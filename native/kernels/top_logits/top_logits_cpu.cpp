// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <atomic>
#include <cmath>

#include "core/arena.h"
#include "kernels/checks.h"
#include "kernels/dispatch.h"
#include "kernels/sample/sample_select.h"
#include "kernels/softmax/softmax_tile.h"
#include "kernels/top_logits/top_logits.h"

namespace espalier {
namespace {

Status check(const TopLogitsArgs& args) {
  return ArgumentChecks("top_logits")
      .size("rows", args.rows)
      .positive("vocab", args.vocab)
      .stride("ld", args.ld, args.vocab)
      .positive("top", args.top)
      .at_most("top", args.top, args.vocab)
      .pointer("logits", args.logits, args.rows > 0)
      .pointer("ids", args.ids, args.rows > 0)
      .pointer("values", args.values, args.rows > 0)
      .pointer("log_sum_exp", args.log_sum_exp, args.rows > 0)
      .done();
}

int thread_count(const CpuContext& context) { return context.pool != nullptr ? context.pool->threads() : 1; }

// False when a logit is NaN, which the sum shows, or one of the best is infinite.
bool top_of_row(const SoftmaxTile& tile, const TopLogitsArgs& args, int64_t row, Candidate* best) {
  const float* x = args.logits + row * args.ld;
  const float largest = tile.row_max(x, args.vocab);
  const double sum = tile.exp_sum(x, args.vocab, largest, 1.0f, nullptr);
  if (!std::isfinite(largest) || !std::isfinite(sum)) return false;
  select_top(x, args.vocab, args.top, best);
  for (int64_t i = 0; i < args.top; ++i) {
    args.ids[row * args.top + i] = best[i].id;
    args.values[row * args.top + i] = best[i].value;
  }
  args.log_sum_exp[row] = static_cast<float>(largest + std::log(sum));
  return std::isfinite(best[args.top - 1].value);
}

}  // namespace

size_t top_logits_workspace_size(const CpuContext& context, const TopLogitsArgs& args) {
  const size_t top = static_cast<size_t>(std::max<int64_t>(args.top, 0));
  Arena arena;
  for (int thread = 0; thread < thread_count(context); ++thread) arena.take<Candidate>(top);
  return arena.used();
}

Status top_logits(const CpuContext& context, const TopLogitsArgs& args, void* workspace, size_t workspace_size) {
  ESP_RETURN_IF_ERROR(check(args));
  const size_t needed = top_logits_workspace_size(context, args);
  ESP_RETURN_IF_ERROR(ArgumentChecks("top_logits").workspace(workspace, workspace_size, needed).done());
  const SoftmaxTile& tile = softmax_tile(context.isa);
  const size_t stride = needed / static_cast<size_t>(thread_count(context));
  std::atomic<bool> finite{true};
  const auto run_task = [&](int64_t row, int thread) {
    Candidate* best = reinterpret_cast<Candidate*>(static_cast<char*>(workspace) + stride * thread);
    if (!top_of_row(tile, args, row, best)) finite.store(false);
  };
  if (context.pool != nullptr && args.rows * args.vocab >= kSerialElements) {
    context.pool->run(args.rows, run_task);
  } else {
    for (int64_t row = 0; row < args.rows; ++row) run_task(row, 0);
  }
  if (finite.load()) return Status::ok();
  return Status("ERR_NUMERIC", "top_logits: a logit is not finite");
}

}  // namespace espalier
