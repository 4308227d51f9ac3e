// matmul: out = x Wᵀ (+ bias) (+ out), W packed in any registered format.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/status.h"
#include "kernels/cpu_context.h"

namespace espalier {

struct WeightFormat;

// W [n, k] in `format`'s packed layout; `data` is 64-byte aligned and stays owned by the caller.
struct PackedMatrix {
  const WeightFormat* format = nullptr;
  const void* data = nullptr;
  int64_t n = 0;
  int64_t k = 0;
};

enum class MatmulEpilogue : int32_t {
  kStore = 0,       // out  = x Wᵀ + bias
  kAccumulate = 1,  // out += x Wᵀ + bias (the residual stream)
};

// x      [m, k] f32, rows ldx apart
// bias   [n]    f32 or nullptr
// out    [m, n] f32, rows ldo apart, may not alias x
struct MatmulArgs {
  const float* x;
  int64_t ldx;
  PackedMatrix weight;
  const float* bias;
  float* out;
  int64_t ldo;
  int64_t m;
  MatmulEpilogue epilogue;
};

// Bytes of scratch that `matmul` needs for m rows against any of these weights (converted or quantized activations,
// unpacked tiles for every thread).
size_t matmul_workspace_size(const CpuContext& context, const MatmulArgs* args, int count);

// Runs `count` products that share x, ldx and m (q, k, v; gate, up): the activations are converted once and all the
// output tiles are spread over the pool together. workspace is 64-byte aligned. No allocation inside.
// ERR_SHAPE, ERR_ARGUMENT, ERR_WORKSPACE.
Status matmul(const CpuContext& context, const MatmulArgs* args, int count, void* workspace, size_t workspace_size);

// out [m, n] = silu(x Wgateᵀ) * (x Wupᵀ): both products and the gating in one pass over the output.
struct MatmulSwigluArgs {
  const float* x;  // [m, k] f32, rows ldx apart
  int64_t ldx;
  PackedMatrix gate, up;             // [n, k] each, any formats
  const float *gate_bias, *up_bias;  // [n] or nullptr
  float* out;                        // [m, n] f32, rows ldo apart
  int64_t ldo;
  int64_t m;
};
size_t matmul_swiglu_workspace_size(const CpuContext& context, const MatmulSwigluArgs& args);
Status matmul_swiglu(const CpuContext& context, const MatmulSwigluArgs& args, void* workspace, size_t workspace_size);

// float64 accumulation over dequantized weights and, where the format converts activations, over the converted
// activations. Same arguments; no workspace.
Status matmul_ref(const MatmulArgs& args);

}  // namespace espalier
