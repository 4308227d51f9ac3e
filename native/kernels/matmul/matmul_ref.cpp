// matmul_ref: what the kernels are checked against. Reads weights through unpack_rows, never through a panel.
// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>

#include "core/aligned_buffer.h"
#include "core/dtype.h"
#include "kernels/matmul/matmul.h"
#include "kernels/matmul/matmul_plan.h"
#include "quant/weight_format.h"

namespace espalier {
namespace {

// x [k] -> what the format's activation conversion keeps of it, as float64.
void convert_activations(const char* activation, const float* x, int64_t k, double* out) {
  for (int64_t i = 0; i < k; ++i) out[i] = x[i];
  if (std::strcmp(activation, "bf16") == 0)
    for (int64_t i = 0; i < k; ++i) out[i] = bf16_to_f32(f32_to_bf16(x[i]));
  if (std::strcmp(activation, "int8 per token") != 0) return;
  float absmax = 0;
  for (int64_t i = 0; i < k; ++i) absmax = std::fmax(absmax, std::fabs(x[i]));
  const float inverse = absmax > 0 ? 127.0f / absmax : 0.0f;
  for (int64_t i = 0; i < k; ++i) out[i] = std::nearbyint(x[i] * inverse) * (absmax / 127.0f);
}

}  // namespace

Status matmul_ref(const MatmulArgs& args) {
  ESP_RETURN_IF_ERROR(check_matmul(&args, 1));
  const int64_t n = args.weight.n, k = args.weight.k;
  AlignedBuffer activations, row;
  ESP_RETURN_IF_ERROR(activations.reserve((args.m * k + 1) * sizeof(double)));
  ESP_RETURN_IF_ERROR(row.reserve((k + 1) * sizeof(float)));
  for (int64_t m = 0; m < args.m; ++m)
    convert_activations(args.weight.format->activation, args.x + m * args.ldx, k, activations.as<double>() + m * k);
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
