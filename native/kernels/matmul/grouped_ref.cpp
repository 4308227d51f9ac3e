// Reference kernels of the grouped formats: 4-bit and int8 codes against int8 activations in groups of 32, exact
// integer sums, groups added up in float64; more rows, and fp8, against f32. SPDX-License-Identifier: Apache-2.0
#include <cstring>

#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/linear_kernel.h"
#include "quant/code_type.h"
#include "quant/grouped_layout.h"

namespace espalier {
namespace {

template <CodeType kCodeType, bool kHasZeros>
struct Codes {
  static constexpr CodeType kType = kCodeType;
  static constexpr bool kZeros = kHasZeros;
  static constexpr bool kFloat = kType == CodeType::kFp8E4M3 || kType == CodeType::kFp8E5M2;
  static constexpr int kBits = kFloat || kType == CodeType::kInt8 ? 8 : 4;
};

// One group of one output row.
template <typename C>
class Group {
 public:
  Group(const LinearProblem& p, int64_t column, int64_t group)
      : layout_(grouped_layout(p.group, p.k, C::kBits, C::kZeros)), lane_(column % kPanel) {
    bytes_ = static_cast<const char*>(p.weight) + column / kPanel * grouped_panel_bytes(layout_, p.k) +
             group * layout_.group_bytes;
  }
  float scale() const { return floats()[lane_]; }
  // Of column i of the group, before its scale.
  float value(int64_t i) const {
    const auto* codes = reinterpret_cast<const uint8_t*>(bytes_) + layout_.header_bytes;
    const float zero = C::kZeros ? floats()[kPanel + lane_] : 0.0f;
    if (C::kFloat) return code_values(C::kType)[codes[i * kPanel + lane_]];
    if (C::kBits == 8) return static_cast<float>(codes[i / 4 * 4 * kPanel + lane_ * 4 + i % 4] - 128) - zero;
    const int byte = codes[i / 8 * 4 * kPanel + lane_ * 4 + i % 4];
    return code_values(C::kType)[byte >> (i % 8 / 4 * 4) & 15] - zero;
  }

 private:
  const float* floats() const { return reinterpret_cast<const float*>(bytes_); }

  GroupedLayout layout_;
  int64_t lane_;
  const char* bytes_;
};

// Σ over k of x_of(i) * w(column, i).
template <typename C, typename X>
double dot(const LinearProblem& p, int64_t column, X&& x_of) {
  const int64_t size = grouped_layout(p.group, p.k, C::kBits, C::kZeros).group;
  double sum = 0;
  for (int64_t begin = 0; begin < p.k; begin += size) {
    const Group<C> group(p, column, begin / size);
    double part = 0;
    for (int64_t i = begin; i < p.k && i < begin + size; ++i) part += x_of(i) * group.value(i - begin);
    sum += part * group.scale();
  }
  return sum;
}

void store(const LinearProblem& p, int64_t row, int64_t column, double sum) {
  float* out = p.out + (row - p.out_row) * p.ldo + (column - p.out_panel * kPanel);
  const double value = sum + (p.bias != nullptr ? p.bias[column] : 0.0f);
  *out = static_cast<float>(p.accumulate ? *out + value : value);
}

int64_t column_end(const LinearProblem& p, int64_t panel_end) {
  return panel_end * kPanel < p.n ? panel_end * kPanel : p.n;
}

// x in groups of int8, see activation_stage.h.
template <typename C>
void run_int8_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  for (int64_t row = 0; row < p.m; ++row) {
    const uint32_t* words = static_cast<const uint32_t*>(p.x) + row * p.x_stride;
    const auto x_of = [&](int64_t i) {
      const uint32_t* group = words + i / kActivationGroup * kGroupWords;
      float scale;
      std::memcpy(&scale, group, 4);
      return static_cast<double>(scale) * reinterpret_cast<const int8_t*>(group + 2)[i % kActivationGroup];
    };
    for (int64_t column = panel_begin * kPanel; column < column_end(p, panel_end); ++column)
      store(p, row, column, dot<C>(p, column, x_of));
  }
}

// Rows [begin, end) of x as f32, `word_of(row, i)` its place.
template <typename C, typename Place>
void run_floats(const LinearProblem& p, int64_t row_begin, int64_t row_end, int64_t panel_begin, int64_t panel_end,
                Place&& place) {
  const float* x = static_cast<const float*>(p.x);
  for (int64_t row = row_begin; row < row_end; ++row)
    for (int64_t column = panel_begin * kPanel; column < column_end(p, panel_end); ++column)
      store(p, row, column, dot<C>(p, column, [&](int64_t i) { return static_cast<double>(x[place(row, i)]); }));
}

template <typename C>
void run_f32_rows(const LinearProblem& p, int64_t panel_begin, int64_t panel_end) {
  run_floats<C>(p, 0, p.m, panel_begin, panel_end, [&](int64_t row, int64_t i) { return row * p.x_stride + i; });
}

template <typename C>
void run_f32_tiles(const LinearProblem& p, int64_t tile_begin, int64_t tile_end, int64_t panel_begin, int64_t panel_end,
                   void*) {
  const int64_t end = tile_end * p.tile_rows < p.m ? tile_end * p.tile_rows : p.m;
  run_floats<C>(p, tile_begin * p.tile_rows, end, panel_begin, panel_end, [&](int64_t row, int64_t i) {
    return row / p.tile_rows * p.tile_rows * p.k + i * p.tile_rows + row % p.tile_rows;
  });
}

constexpr int64_t kTileRows = 8;

template <typename C>
constexpr LinearKernel int8_kernel(const char* name) {
  return {name,
          &stage_int8_groups_ref,
          run_int8_rows<C>,
          kGroupedRows,
          C::kType == CodeType::kNf4 ? &stage_int14_groups_as_f32_ref : &stage_int16_groups_as_f32_ref,
          run_f32_tiles<C>,
          kTileRows,
          nullptr};
}

}  // namespace

const LinearKernel matmul_int8g_int4_ref = int8_kernel<Codes<CodeType::kInt4, false>>("matmul_int8g_int4_ref");
const LinearKernel matmul_int8g_int4_zeros_ref =
    int8_kernel<Codes<CodeType::kInt4, true>>("matmul_int8g_int4_zeros_ref");
const LinearKernel matmul_int8g_int8_ref = int8_kernel<Codes<CodeType::kInt8, false>>("matmul_int8g_int8_ref");
const LinearKernel matmul_int8g_int8_zeros_ref =
    int8_kernel<Codes<CodeType::kInt8, true>>("matmul_int8g_int8_zeros_ref");
const LinearKernel matmul_int8g_nf4_ref = int8_kernel<Codes<CodeType::kNf4, false>>("matmul_int8g_nf4_ref");
const LinearKernel matmul_int8g_fp4_ref = int8_kernel<Codes<CodeType::kFp4, false>>("matmul_int8g_fp4_ref");
const LinearKernel matmul_int8g_e2m1_ref = int8_kernel<Codes<CodeType::kE2M1, false>>("matmul_int8g_e2m1_ref");

const LinearKernel matmul_f32_e4m3_ref = {"matmul_f32_e4m3_ref", nullptr,
                                          run_f32_rows<Codes<CodeType::kFp8E4M3, false>>, kAnyRows};
const LinearKernel matmul_f32_e5m2_ref = {"matmul_f32_e5m2_ref", nullptr,
                                          run_f32_rows<Codes<CodeType::kFp8E5M2, false>>, kAnyRows};
const LinearKernel matmul_fp8_e4m3_ref = {"matmul_fp8_e4m3_ref", &stage_fp8_ref,
                                          run_f32_rows<Codes<CodeType::kFp8E4M3, false>>, kAnyRows};
const LinearKernel matmul_fp8g_e4m3_ref = {"matmul_fp8g_e4m3_ref", &stage_fp8_groups_ref,
                                           run_f32_rows<Codes<CodeType::kFp8E4M3, false>>, kAnyRows};

}  // namespace espalier
