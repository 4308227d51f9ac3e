// Reference kernels: one scalar loop over a packed panel for every format, float64 (or exact int32) accumulation.
// SPDX-License-Identifier: Apache-2.0
#include "core/dtype.h"
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/linear_kernel.h"
#include "quant/panel_layout.h"

namespace espalier {
namespace {

// Element (row, i) of W [n, k] in each layout, before its row's scale.
struct ReadF32 {
  static float value(const LinearProblem& p, int64_t row, int64_t i) {
    return static_cast<const float*>(p.weight)[(row / kPanel * p.k + i) * kPanel + row % kPanel];
  }
  static float scale(const LinearProblem&, int64_t) { return 1.0f; }
};

struct ReadF16 {
  static float value(const LinearProblem& p, int64_t row, int64_t i) {
    return f16_to_f32(static_cast<const uint16_t*>(p.weight)[(row / kPanel * p.k + i) * kPanel + row % kPanel]);
  }
  static float scale(const LinearProblem&, int64_t) { return 1.0f; }
};

struct ReadBF16 {
  static float value(const LinearProblem& p, int64_t row, int64_t i) {
    const int64_t pair = row / kPanel * ceil_div(p.k, 2) + i / 2;
    return bf16_to_f32(static_cast<const uint16_t*>(p.weight)[pair * 2 * kPanel + row % kPanel * 2 + i % 2]);
  }
  static float scale(const LinearProblem&, int64_t) { return 1.0f; }
};

struct ReadInt8 {
  static float value(const LinearProblem& p, int64_t row, int64_t i) {
    return static_cast<const int8_t*>(p.weight)[(row / kPanel * p.k + i) * kPanel + row % kPanel];
  }
  static float scale(const LinearProblem& p, int64_t row) {
    return reinterpret_cast<const float*>(static_cast<const char*>(p.weight) + scale_offset_int8(p.n, p.k))[row];
  }
};

void store(const LinearProblem& p, int64_t row, int64_t column, float value) {
  float* out = p.out + (row - p.out_row) * p.ldo + (column - p.out_panel * kPanel);
  if (p.bias != nullptr) value += p.bias[column];
  *out = p.accumulate ? *out + value : value;
}

int64_t column_end(const LinearProblem& p, int64_t panel_end) {
  return panel_end * kPanel < p.n ? panel_end * kPanel : p.n;
}

template <typename Read>
void run_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  for (int64_t row = 0; row < p.m; ++row) {
    const float* x = static_cast<const float*>(p.x) + row * p.x_stride;
    for (int64_t column = panel_begin * kPanel; column < column_end(p, panel_end); ++column) {
      double sum = 0;
      for (int64_t i = 0; i < p.k; ++i) sum += static_cast<double>(x[i]) * Read::value(p, column, i);
      store(p, row, column, static_cast<float>(sum * Read::scale(p, column)));
    }
  }
}

// Exact sum, then float(sum) * (x_scale * w_scale), + bias, + out, each rounded to f32: the order every ISA keeps.
void run_rows_int8(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  const char* blob = static_cast<const char*>(p.weight);
  const float* scales = reinterpret_cast<const float*>(blob + scale_offset_int8_w8a8(p.n, p.k));
  for (int64_t row = 0; row < p.m; ++row) {
    const int8_t* x = static_cast<const int8_t*>(p.x) + row * p.x_stride * 4;
    for (int64_t column = panel_begin * kPanel; column < column_end(p, panel_end); ++column) {
      const int8_t* w = reinterpret_cast<const int8_t*>(blob) + column / kPanel * panel_bytes_int8_w8a8(p.k);
      int32_t sum = 0;
      for (int64_t i = 0; i < p.k; ++i) sum += x[i] * w[i / 4 * 4 * kPanel + column % kPanel * 4 + i % 4];
      store(p, row, column, static_cast<float>(sum) * (p.x_scale[row] * scales[column]));
    }
  }
}

}  // namespace

const LinearKernel matmul_f32_f32_ref = {"matmul_f32_f32_ref", nullptr, run_rows<ReadF32>, kAnyRows};
const LinearKernel matmul_f32_f16_ref = {"matmul_f32_f16_ref", nullptr, run_rows<ReadF16>, kAnyRows};
const LinearKernel matmul_bf16_bf16_ref = {"matmul_bf16_bf16_ref", &stage_bf16_as_f32_ref, run_rows<ReadBF16>,
                                           kAnyRows};
const LinearKernel matmul_f32_int8_ref = {"matmul_f32_int8_ref", nullptr, run_rows<ReadInt8>, kAnyRows};
const LinearKernel matmul_int8_int8_ref = {"matmul_int8_int8_ref", &stage_int8_ref, run_rows_int8, kAnyRows};

}  // namespace espalier
