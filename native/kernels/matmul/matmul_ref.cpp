// matmul_ref: what the kernels are checked against. Reads weights through unpack_rows, never through a panel.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>

#include "core/aligned_buffer.h"
#include "core/dtype.h"
#include "kernels/matmul/activation_stage.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/matmul_plan.h"
#include "quant/fp8.h"
#include "quant/grouped_layout.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

// x [count] -> what integers up to `most` under one scale keep of it.
void round_int(const float* x, int64_t count, float most, double* out) {
  float absmax = 0;
  for (int64_t i = 0; i < count; ++i) absmax = std::fmax(absmax, std::fabs(x[i]));
  const float inverse = absmax > 0 ? most / absmax : 0.0f;
  for (int64_t i = 0; i < count; ++i) out[i] = std::nearbyint(x[i] * inverse) * (absmax / most);
}
void round_int8(const float* x, int64_t count, float, double* out) { round_int(x, count, 127.0f, out); }
void round_int16(const float* x, int64_t count, float, double* out) { round_int(x, count, kInt16Most, out); }
void round_int14(const float* x, int64_t count, float, double* out) { round_int(x, count, kInt14Most, out); }

void round_fp8(const float* x, int64_t count, float, double* out) {
  float absmax = 0;
  for (int64_t i = 0; i < count; ++i) absmax = std::fmax(absmax, std::fabs(x[i]));
  const float scale = absmax / 448.0f;
  for (int64_t i = 0; i < count; ++i)
    out[i] = scale > 0 ? fp8_e4m3_to_f32(f32_to_fp8_e4m3(x[i] / scale)) * scale : 0.0f;
}

void round_bf16(const float* x, int64_t count, float, double* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = bf16_to_f32(f32_to_bf16(x[i]));
}

void round_int8_given(const float* x, int64_t count, float scale, double* out) {
  for (int64_t i = 0; i < count; ++i)
    out[i] = std::nearbyint(std::fmin(std::fmax(x[i] / scale, -128.0f), 127.0f)) * static_cast<double>(scale);
}

void round_fp8_given(const float* x, int64_t count, float scale, double* out) {
  for (int64_t i = 0; i < count; ++i) out[i] = fp8_e4m3_to_f32(f32_to_fp8_e4m3(x[i] / scale)) * scale;
}

// What a format may say of its activations: how x is rounded, how many values share a scale (0: all), and for which
// numbers of rows.
struct Conversion {
  const char* activation;
  void (*round)(const float* x, int64_t count, float input_scale, double* out);
  int64_t group;
  int64_t least_rows, most_rows;
};
const Conversion kConversions[] = {
    {"bf16", round_bf16, 0, 0, INT64_MAX},
    {"int8 per token", round_int8, 0, 0, INT64_MAX},
    {kGroupedActivation, round_int8, kActivationGroup, 0, kGroupedRows},
    {kGroupedActivation, round_int16, kActivationGroup, kGroupedRows + 1, INT64_MAX},
    {kGroupedNf4Activation, round_int8, kActivationGroup, 0, kGroupedRows},
    {kGroupedNf4Activation, round_int14, kActivationGroup, kGroupedRows + 1, INT64_MAX},
    {"fp8 per token", round_fp8, 0, 0, INT64_MAX},
    {"fp8 per 128 values", round_fp8, kFp8ActivationGroup, 0, INT64_MAX},
    {"int8 per tensor", round_int8_given, 0, 0, INT64_MAX},
    {"fp8 per tensor", round_fp8_given, 0, 0, INT64_MAX},
};

// x [k] -> what the format's activation conversion keeps of it, as float64.
void convert_activations(const PackedMatrix& weight, const float* x, int64_t rows, double* out) {
  const int64_t k = weight.k;
  const float input_scale = input_scale_of(weight);
  for (int64_t i = 0; i < k; ++i) out[i] = x[i];
  for (const Conversion& conversion : kConversions) {
    if (std::strcmp(weight.format->activation, conversion.activation) != 0 || rows < conversion.least_rows ||
        rows > conversion.most_rows)
      continue;
    const int64_t group = conversion.group == 0 ? k : conversion.group;
    for (int64_t i = 0; i < k; i += group) conversion.round(x + i, k - i < group ? k - i : group, input_scale, out + i);
  }
}

}  // namespace

Status matmul_ref(const MatmulArgs& args) {
  ESP_RETURN_IF_ERROR(check_matmul(&args, 1));
  const int64_t n = args.weight.n, k = args.weight.k;
  AlignedBuffer activations, row;
  ESP_RETURN_IF_ERROR(activations.reserve((args.m * k + 1) * sizeof(double)));
  ESP_RETURN_IF_ERROR(row.reserve((k + 1) * sizeof(float)));
  for (int64_t m = 0; m < args.m; ++m)
    convert_activations(args.weight, args.x + m * args.ldx, args.m, activations.as<double>() + m * k);
  for (int64_t column = 0; column < n; ++column) {
    if (k > 0) args.weight.format->unpack_rows(args.weight.data, n, k, column, 1, row.as<float>());
    for (int64_t m = 0; m < args.m; ++m) {
      double sum = args.bias != nullptr ? args.bias[column] : 0.0;
      for (int64_t i = 0; i < k; ++i) sum += activations.as<double>()[m * k + i] * row.as<float>()[i];
      float* out = args.out + m * args.ldo + column;
      *out = static_cast<float>(args.epilogue == MatmulEpilogue::kAccumulate ? *out + sum : sum);
    }
  }
  return Status::ok();
}

}  // namespace espalier
