// LinearKernel: the tile functions of one weight format on one ISA. Plain C types only.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>

#include "core/isa.h"

namespace espalier {

// How x is turned into what a kernel reads: words of 32 bits, each one f32, two bf16 / int16 or four int8 of
// consecutive k, the last padded with zeros (int8 in groups: see activation_stage.h). A tile holds `tile_rows` rows
// interleaved: words [k_words][tile_rows]; tile_rows = 1 is plain rows. Kernels that point at the same stage share its
// output, where their weights ask for the same input scale.
struct ActivationStage {
  // Words of a row of k values.
  int64_t (*row_words)(int64_t k);
  // Converts `rows` rows (1 <= rows <= tile_rows) of x into one tile; rows beyond are zeros.
  // x      [rows, k] f32, rows ldx apart
  // words  [row_words(k)][tile_rows]
  // scale  [rows] f32, written by int8 stages only
  // input_scale  of int8 and fp8 stages "per token": the scale to use; 0: the one found in each row
  void (*run)(const float* x, int64_t ldx, int64_t rows, int64_t k, int64_t tile_rows, uint32_t* words, float* scale,
              float input_scale);
};

// One product as the tile functions see it. Panels are 16 output columns wide.
// x        rows: [m, x_stride words]; tiles: [ceil(m / tile_rows)][k_words][tile_rows]
// x_scale  [m] f32 or nullptr
// weight   packed blob of W [n, k]
// bias     [n] or nullptr
// out      points at (out_row, 16 * out_panel) of out [m, n] f32, rows ldo apart
struct LinearProblem {
  const void* x;
  int64_t x_stride;
  const float* x_scale;
  const void* weight;
  const float* bias;
  float* out;
  int64_t ldo;
  int64_t out_row, out_panel;
  int64_t m, n, k;
  int64_t tile_rows;
  bool accumulate;
  int64_t group;  // columns of W that share a scale; 0: the whole row
};

struct LinearKernel {
  const char* name;  // "matmul_f32_int8_avx512": op, activations, weights, ISA

  // m = 1 and small m (m <= rows_limit): weights streamed once. rows_stage nullptr: x is read in place.
  const ActivationStage* rows_stage;
  void (*run_rows)(const LinearProblem& problem, int64_t panel_begin, int64_t panel_end);
  int64_t rows_limit;

  // Larger m, cache-blocked. Unused when rows_limit is kAnyRows.
  const ActivationStage* tiles_stage;
  void (*run_tiles)(const LinearProblem& problem, int64_t tile_begin, int64_t tile_end, int64_t panel_begin,
                    int64_t panel_end, void* scratch);
  int64_t max_tile_rows;
  // Of each thread in run_tiles, 64-byte aligned, for tasks of at most `rows` rows and `panels` panels; nullptr: none.
  size_t (*scratch_bytes)(int64_t k, int64_t rows, int64_t panels);
};

constexpr int64_t kAnyRows = INT64_MAX;

// Rows of the format table name the kernels of x86 levels through this.
#if defined(__x86_64__)
#define ESP_X86_KERNEL(kernel) (&(kernel))
#else
#define ESP_X86_KERNEL(kernel) nullptr
#endif

extern const LinearKernel matmul_f32_f32_ref;
extern const LinearKernel matmul_f32_f16_ref;
extern const LinearKernel matmul_bf16_bf16_ref;
extern const LinearKernel matmul_f32_int8_ref;
extern const LinearKernel matmul_int8_int8_ref;
extern const LinearKernel matmul_f32_f32_avx2;
extern const LinearKernel matmul_f32_f16_avx2;
extern const LinearKernel matmul_bf16_bf16_avx2;
extern const LinearKernel matmul_f32_int8_avx2;
extern const LinearKernel matmul_int8_int8_avx2;
extern const LinearKernel matmul_int8t_int8_avx2;
extern const LinearKernel matmul_f32_f32_avx512;
extern const LinearKernel matmul_f32_f16_avx512;
extern const LinearKernel matmul_bf16_bf16_avx512;
extern const LinearKernel matmul_f32_int8_avx512;
extern const LinearKernel matmul_int8_int8_avx512;
extern const LinearKernel matmul_bf16_bf16_avx512_bf16;

// Grouped formats (quant/grouped_layout.h): one kernel for every size of group.
extern const LinearKernel matmul_int8g_int4_ref, matmul_int8g_int4_zeros_ref;
extern const LinearKernel matmul_int8g_int8_ref, matmul_int8g_int8_zeros_ref;
extern const LinearKernel matmul_int8g_nf4_ref, matmul_int8g_fp4_ref, matmul_int8g_e2m1_ref;
extern const LinearKernel matmul_f32_e4m3_ref, matmul_f32_e5m2_ref;
extern const LinearKernel matmul_fp8_e4m3_ref, matmul_fp8g_e4m3_ref;
extern const LinearKernel matmul_int8g_int4_avx2, matmul_int8g_int4_zeros_avx2;
extern const LinearKernel matmul_int8g_int8_avx2, matmul_int8g_int8_zeros_avx2;
extern const LinearKernel matmul_int8g_nf4_avx2, matmul_int8g_fp4_avx2, matmul_int8g_e2m1_avx2;
extern const LinearKernel matmul_f32_e4m3_avx2, matmul_f32_e5m2_avx2;
extern const LinearKernel matmul_fp8_e4m3_avx2, matmul_fp8g_e4m3_avx2;
extern const LinearKernel matmul_int8g_int4_avx512, matmul_int8g_int4_zeros_avx512;
extern const LinearKernel matmul_int8g_int8_avx512, matmul_int8g_int8_zeros_avx512;
extern const LinearKernel matmul_int8g_nf4_avx512, matmul_int8g_fp4_avx512, matmul_int8g_e2m1_avx512;
extern const LinearKernel matmul_f32_e4m3_avx512, matmul_f32_e5m2_avx512;
extern const LinearKernel matmul_fp8_e4m3_avx512, matmul_fp8g_e4m3_avx512;

}  // namespace espalier
