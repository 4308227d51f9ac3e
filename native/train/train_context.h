// TrainContext: threads, ISA and scratch of a trainer. Scratch grows to the largest size asked for, so that a step like
// the one before allocates nothing.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>

#include "core/aligned_buffer.h"
#include "kernels/cpu_context.h"
#include "kernels/gemm/gemm.h"

namespace espalier {

class GradientSums;

struct TrainContext {
  CpuContext cpu;
  AlignedBuffer workspace;                  // of the operator that runs
  AlignedBuffer adapter;                    // products with an adapter's rank
  AlignedBuffer effective;                  // weights, or gradients, on their way through a hook
  const std::atomic<bool>* stop = nullptr;  // work ends between two blocks, with ERR_CANCELLED, when it turns true
  GradientSums* sums = nullptr;             // hears of each layer's complete gradients; nullptr: one process
};

inline Status check_stop(const TrainContext& context) {
  if (context.stop == nullptr || !context.stop->load(std::memory_order_relaxed)) return Status::ok();
  return Status("ERR_CANCELLED", "the trainer is closing");
}

// gemm with the workspace it needs.
inline Status product(TrainContext& context, const GemmArgs& args) {
  const size_t bytes = gemm_workspace_size(context.cpu, args);
  ESP_RETURN_IF_ERROR(context.workspace.reserve(bytes));
  return gemm(context.cpu, args, context.workspace.as<void>(), context.workspace.size());
}

}  // namespace espalier
