// The range of a cell's weights by a method that needs no data. Internal to quant/.
// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "quant/encode.h"
#include "quant/number_format.h"

namespace espalier {

struct ScaleRange {
  float low = 0;
  float high = 0;
};

// What scale a range leads to, and the codes under it.
struct CellCoder {
  const NumberFormat* format;
  const EncodeKernel* kernel;
  bool symmetric;
  ScaleType scale_type;
  float global;

  // Of cells whose weights lie in [low, high]; zeros is not written when symmetric.
  void scales_of(const float* low, const float* high, int64_t count, float* scales, float* zeros) const;
  CellScale scale_of(ScaleRange range) const;
  // Σ (w - ŵ)² of w [count]; codes is scratch [count].
  double squared_error(const float* w, int64_t count, CellScale scale, uint8_t* codes) const;
};

// values [count], of one cell; scratch grows as needed.
ScaleRange percentile_range(const float* values, int64_t count, double percentile, std::vector<float>* scratch);
ScaleRange least_error_range(const CellCoder& coder, const float* values, int64_t count, ScaleRange largest,
                             std::vector<uint8_t>* scratch);

// HQQ over W [rows, cols] in groups of `group` columns: zero points, and scales that go with them, into `out`, whose
// grid and scales' sizes are set. Stops when the mean error of the tensor no longer falls, after 20 rounds at most.
// For integer codes.
void hqq_scales(const float* w, bool integer_zeros, ScaleType scale_type, ThreadPool* pool, QuantizedMatrix* out);

}  // namespace espalier
