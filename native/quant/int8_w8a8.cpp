// Weight format "int8-w8a8": weights as "int8" (absmax / 127 per output row) in dot-product order
// [n/16][k/4][16][4] int8 with the rows' scales and sums after; activations are quantized per token at run time.
// SPDX-License-Identifier: Apache-2.0
#include <cfloat>

#include "quant/pack_panels.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

constexpr int64_t kMaxColumns = 131072;  // 127 * 128 * k must fit int32

size_t packed_bytes(int64_t n, int64_t k) {
  return n == 0 || k == 0 ? 0 : sum_offset_int8_w8a8(n, k) + panel_count(n) * kPanel * sizeof(int32_t);
}

// One row of W (nullptr: padding) into its lane of the panel; returns the sum of the quantized values.
int32_t pack_row(const float* source, int64_t k, float scale, int8_t* lane) {
  int32_t sum = 0;
  for (int64_t i = 0; i < round_up(k, 4); ++i) {
    const int8_t q = source != nullptr && i < k ? int8_quantize(source[i], scale) : int8_t{0};
    lane[i / 4 * 4 * kPanel + i % 4] = q;
    sum += q;
  }
  return sum;
}

Status check_columns(int64_t n, int64_t k) {
  if (k <= kMaxColumns) return Status::ok();
  return Status("ERR_SHAPE",
                format_text("weight [%lld, %lld]: int8-w8a8 sums exactly up to %lld columns", static_cast<long long>(n),
                            static_cast<long long>(k), static_cast<long long>(kMaxColumns)));
}

Status pack(const float* w, int64_t n, int64_t k, void* packed, ThreadPool* pool) {
  ESP_RETURN_IF_ERROR(check_columns(n, k));
  if (n == 0 || k == 0) return Status::ok();
  ESP_RETURN_IF_ERROR(check_weight_values("int8-w8a8", w, n, k, FLT_MAX, pool));
  char* blob = static_cast<char*>(packed);
  float* scales = reinterpret_cast<float*>(blob + scale_offset_int8_w8a8(n, k));
  int32_t* sums = reinterpret_cast<int32_t*>(blob + sum_offset_int8_w8a8(n, k));
  zero_padding(packed, panel_count(n) * panel_bytes_int8_w8a8(k), scale_offset_int8_w8a8(n, k));
  for_each_panel(n, pool, [&](int64_t panel) {
    int8_t* out = static_cast<int8_t*>(packed) + panel * panel_bytes_int8_w8a8(k);
    const int64_t rows = panel_rows(n, panel);
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      const int64_t row = panel * kPanel + lane;
      const float* source = lane < rows ? w + row * k : nullptr;
      scales[row] = source != nullptr ? int8_row_scale(source, k) : 0.0f;
      sums[row] = pack_row(source, k, scales[row], out + lane * 4);
    }
  });
  return Status::ok();
}

Status pack_quantized(const QuantizedMatrix& matrix, void* packed, ThreadPool* pool) {
  const int64_t n = matrix.rows, k = matrix.cols;
  ESP_RETURN_IF_ERROR(check_fits("int8-w8a8", matrix, CodeType::kInt8, 0, false));
  ESP_RETURN_IF_ERROR(check_columns(n, k));
  if (n == 0 || k == 0) return Status::ok();
  char* blob = static_cast<char*>(packed);
  float* scales = reinterpret_cast<float*>(blob + scale_offset_int8_w8a8(n, k));
  int32_t* sums = reinterpret_cast<int32_t*>(blob + sum_offset_int8_w8a8(n, k));
  zero_padding(packed, panel_count(n) * panel_bytes_int8_w8a8(k), scale_offset_int8_w8a8(n, k));
  for_each_panel(n, pool, [&](int64_t panel) {
    int8_t* out = static_cast<int8_t*>(packed) + panel * panel_bytes_int8_w8a8(k);
    for (int64_t lane = 0; lane < kPanel; ++lane) {
      const int64_t row = panel * kPanel + lane;
      const bool inside = lane < panel_rows(n, panel);
      scales[row] = inside ? matrix.scales[matrix.scale_index(row, 0)] : 0.0f;
      sums[row] = 0;
      for (int64_t i = 0; i < round_up(k, 4); ++i) {
        const int8_t q = inside && i < k ? static_cast<int8_t>(matrix.codes[row * k + i]) : int8_t{0};
        out[lane * 4 + i / 4 * 4 * kPanel + i % 4] = q;
        sums[row] += q;
      }
    }
  });
  return Status::ok();
}

void unpack_rows(const void* packed, int64_t n, int64_t k, int64_t row_begin, int64_t count, float* out) {
  const char* blob = static_cast<const char*>(packed);
  const float* scales = reinterpret_cast<const float*>(blob + scale_offset_int8_w8a8(n, k));
  for (int64_t row = row_begin; row < row_begin + count; ++row) {
    const int8_t* source =
        static_cast<const int8_t*>(packed) + row / kPanel * panel_bytes_int8_w8a8(k) + row % kPanel * 4;
    for (int64_t i = 0; i < k; ++i) *out++ = static_cast<float>(source[i / 4 * 4 * kPanel + i % 4]) * scales[row];
  }
}

}  // namespace

extern const WeightFormat kWeightFormatInt8W8A8;
const WeightFormat kWeightFormatInt8W8A8 = {
    "int8-w8a8",
    "int8 per token",
    8,
    1,
    packed_bytes,
    pack,
    unpack_rows,
    pack_quantized,
    0,
    {&matmul_int8_int8_ref, ESP_X86_KERNEL(matmul_int8_int8_avx2), ESP_X86_KERNEL(matmul_int8_int8_avx512), nullptr}};

}  // namespace espalier
