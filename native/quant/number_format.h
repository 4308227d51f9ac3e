// The registry of number formats: how weights become codes and scales. A format is one file in quant/formats/ and one
// row here. What an engine does with them is a weight format (weight_format.h).
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "core/isa.h"
#include "quant/quantized_matrix.h"

namespace espalier {

// How a scale is stored; it is rounded so before the codes are chosen.
enum class ScaleType : int32_t { kF32 = 0, kF16, kBF16, kE8M0, kE4M3 };

// value = (code's value - zero) * scale
struct CellScale {
  float scale;
  float zero;
};

struct NumberFormat {
  const char* id;  // "int4"
  CodeType type;
  bool can_be_asymmetric;
  int64_t group;        // columns that share a scale unless told otherwise; 0: the whole row
  bool groups_fixed;    // no other group size is this format
  bool across_rows;     // groups run on from row to row
  ScaleType own_scale;  // kF32: any of f32, f16, bf16
  // Of `count` cells whose weights lie in [low, high], which holds 0; zeros is nullptr when symmetric. `global` is what
  // global_scale gave. A format writes it for one cell: cell_scales<scale_of>.
  void (*scales_of)(const float* low, const float* high, int64_t count, float global, float* scales, float* zeros);
  // nvfp4: from the largest magnitude of the tensor; nullptr elsewhere.
  float (*global_scale)(float absmax);
};

template <CellScale (*kScaleOf)(float low, float high, bool symmetric, float global)>
void cell_scales(const float* low, const float* high, int64_t count, float global, float* scales, float* zeros) {
  if (zeros == nullptr) {
    for (int64_t i = 0; i < count; ++i) scales[i] = kScaleOf(low[i], high[i], true, global).scale;
    return;
  }
  for (int64_t i = 0; i < count; ++i) {
    const CellScale scale = kScaleOf(low[i], high[i], false, global);
    scales[i] = scale.scale;
    zeros[i] = scale.zero;
  }
}

// nullptr when unknown.
const NumberFormat* find_number_format(const std::string& id);
const std::vector<const NumberFormat*>& number_formats();
std::string number_format_names();

enum class RangeMethod : int32_t {
  kMax = 0,     // the largest magnitudes
  kPercentile,  // they may exceed the range by 1 - percentile of the cell's weights
  kMse,         // the shrunk range with the least squared error: 1, 0.98 ... 0.4 of the largest
  kHqq,         // zero points by half-quadratic splitting (Badri & Shaji, 2023); integers, asymmetric
};

struct QuantizeOptions {
  bool symmetric = true;
  int64_t group = -1;  // columns; -1: the format's own; 0: whole rows
  // Rows by columns of blocks that share a scale, 0: groups; {-1, -1}: the whole tensor.
  int64_t block_rows = 0, block_cols = 0;
  RangeMethod method = RangeMethod::kMax;
  double percentile = 0.9999;
  bool integer_zeros = true;               // what files can hold; kHqq alone can do better without
  ScaleType scale_type = ScaleType::kF32;  // of formats without a scale type of their own
};

// w [rows, cols] f32 -> codes and scales. The same for every number of threads and every ISA.
// ERR_QUANT_GROUP_SIZE when the group does not divide the columns, ERR_WEIGHT_VALUE at the first weight that is not
// finite (its row and column), ERR_ARGUMENT for options that the format does not have. The memory of out's codes is
// used again; what `out` held is lost in any case.
Status quantize_matrix(const NumberFormat& format, const QuantizeOptions& options, const float* w, int64_t rows,
                       int64_t cols, Isa isa, ThreadPool* pool, QuantizedMatrix* out);

// The grid that quantize_matrix gives, or its error.
Status scale_grid_of(const NumberFormat& format, const QuantizeOptions& options, int64_t rows, int64_t cols,
                     ScaleGrid* grid);

// A scale as a file holds it.
float round_scale(float scale, ScaleType type);

}  // namespace espalier
